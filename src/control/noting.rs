//! What a trace wants to know beside events and messages: which SIP Call-IDs are a call's legs, and
//! what happens to their media. Nothing is noted until [`Control::note`] asks for it.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use clock::Now;
use media::capture::{Capture, RawPacket};
use media::port::{PlayId, PortId, PortStats};
use media::worker::{NO_MEDIA_AFTER, PortCommand, PortEvent};
use rtrb::Consumer;
use sip::ua::SessionId;

use super::{Control, Output};
use crate::call::{CallId, LegId, Prompt};

/// One thing that a trace wants to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// When it was.
    pub at: Now,
    /// In which call.
    pub call: CallId,
    /// On which leg.
    pub leg: LegId,
    /// What.
    pub what: Noted,
}

/// What a trace wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// A leg is made: its messages bear this SIP Call-ID.
    Leg {
        /// The header's value.
        sip_call_id: String,
        /// Who is at the other end.
        who: String,
        /// Where messages go.
        remote: SocketAddr,
    },
    /// The leg's port is open.
    Opened(PortFacts),
    /// What the leg's port does was agreed anew.
    Changed(PortFacts),
    /// The port is closed.
    Closed {
        /// The port's last counters.
        stats: Box<PortStats>,
    },
    /// The peer's first packet came.
    FirstHeard {
        /// From there.
        from: SocketAddr,
    },
    /// Our first packet went.
    FirstSent,
    /// The peer is silent.
    Silent {
        /// For how long.
        ms: u32,
    },
    /// The peer is heard again, or need not be.
    SoundsAgain {
        /// After so long.
        after_ms: u32,
    },
    /// The peer's reports (RTCP) have ended, and its sound with them.
    ReportsEnded {
        /// So long ago.
        ms: u32,
    },
    /// A prompt is wanted.
    Wants {
        /// Its number.
        play: PlayId,
        /// What, in few words.
        what: String,
    },
    /// A prompt begins to play.
    Plays(PlayId),
    /// A prompt ended.
    Played {
        /// Which.
        play: PlayId,
        /// Whether it was heard to its end.
        complete: bool,
    },
    /// The leg's port is on the call's bridge.
    Joins,
    /// It is no longer.
    Parts,
    /// The peer pressed a key.
    Presses {
        /// Which.
        digit: char,
        /// As telephone-event or as tones.
        via: &'static str,
    },
    /// We send keys.
    Dials(String),
    /// Keys of the call are told to nobody from now on, or are again.
    Masks(bool),
    /// Its packets are copied from now on.
    Captured,
    /// Its packets are not copied although that was asked for: as many ports as may be are.
    NotCaptured,
}

/// What a port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortFacts {
    /// Its RTP address; unspecified where the server listens on every address.
    pub local: Option<SocketAddr>,
    /// The peer's.
    pub remote: Option<SocketAddr>,
    /// The codec's name.
    pub codec: &'static str,
    /// The payload type of telephone-events.
    pub dtmf_payload_type: Option<u8>,
    /// Whether we send, and whether we take what comes.
    pub ways: [bool; 2],
}

/// Packets of a port, to be read by whoever keeps them.
#[derive(Debug)]
pub struct Captured {
    /// Of which call.
    pub call: CallId,
    /// Of which leg.
    pub leg: LegId,
    /// The packets; abandoned when the port has closed.
    pub packets: Consumer<RawPacket>,
}

/// The state of noting.
#[derive(Debug, Default)]
pub(super) struct Noting {
    on: bool,
    /// Ports whose first sent packet is noted already.
    sent: HashSet<(u8, PortId)>,
    capturing: HashSet<(u8, PortId)>,
    /// Calls whose ports are captured as they open.
    calls: HashSet<CallId>,
    /// Callers whose next call is captured.
    next_from: VecDeque<String>,
    every_call: bool,
    ports_max: usize,
}

impl Control {
    /// Begins to note: [`Output::Note`] and [`Output::Captured`] come from now on. At most
    /// `ports_max` ports are captured at once, of every call or of those that are asked for.
    pub fn note(&mut self, every_call: bool, ports_max: usize) {
        self.noting.on = true;
        self.noting.every_call = every_call;
        self.noting.ports_max = ports_max;
    }

    /// Copies a live call's packets from now on; `false` if there is none of that name.
    pub fn capture(&mut self, now: Now, call: CallId) -> bool {
        let Some(slot) = self.calls.get(&call) else {
            return false;
        };
        let worker = slot.call.worker();
        let open: Vec<PortId> = slot.call.ports_open().collect();
        if self.noting.on && self.noting.calls.insert(call) {
            for port in open {
                self.capture_port(now, call, worker, port);
            }
        }
        true
    }

    /// Copies the packets of the next call that comes from `caller`. Of more than 64 such wishes the
    /// oldest is forgotten.
    pub fn capture_next(&mut self, caller: String) {
        let wishes = &mut self.noting.next_from;
        if !wishes.contains(&caller) {
            if wishes.len() == WISHES_MAX {
                wishes.pop_front();
            }
            wishes.push_back(caller);
        }
    }

    /// A call begins: perhaps one that is to be captured.
    pub(super) fn note_call(&mut self, call: CallId, from: &str) {
        let wishes = &mut self.noting.next_from;
        let wished = wishes.iter().position(|it| it == from);
        let wished = wished.and_then(|at| wishes.remove(at)).is_some();
        if self.noting.on && (wished || self.noting.every_call) {
            self.noting.calls.insert(call);
        }
    }

    /// A leg has its session.
    pub(super) fn note_leg(
        &mut self,
        now: Now,
        (call, leg): (CallId, LegId),
        session: SessionId,
        remote: SocketAddr,
    ) {
        if !self.noting.on {
            return;
        }
        let Some(sip_call_id) = self.ua.sip_call_id(session) else {
            return;
        };
        let sip_call_id = sip_call_id.to_owned();
        let label = self
            .calls
            .get(&call)
            .and_then(|slot| slot.call.label(leg).cloned());
        let label = label.unwrap_or_default();
        let who = match (label.endpoint, label.trunk) {
            (Some(endpoint), _) => endpoint,
            (None, Some(trunk)) => trunk,
            (None, None) => label.address,
        };
        let what = Noted::Leg {
            sip_call_id,
            who,
            remote,
        };
        self.put(now, call, leg, what);
    }

    /// Keys are masked from now on, or no longer.
    pub(super) fn note_masks(&mut self, now: Now, call: CallId, masks: bool) {
        if self.noting.on {
            self.put(now, call, LegId::CALLER, Noted::Masks(masks));
        }
    }

    pub(super) fn note_wanted(
        &mut self,
        now: Now,
        call: CallId,
        request: &crate::call::ClipRequest,
    ) {
        if self.noting.on {
            let what = request.items.iter().take(4).map(named).collect::<Vec<_>>();
            let what = Noted::Wants {
                play: request.play,
                what: what.join(", "),
            };
            self.put(now, call, request.leg, what);
        }
    }

    /// A command went to a port.
    pub(super) fn note_command(
        &mut self,
        now: Now,
        call: CallId,
        port: PortId,
        what: Option<Noted>,
    ) {
        let leg = self
            .calls
            .get(&call)
            .and_then(|slot| slot.call.leg_of(port));
        if let (Some(leg), Some(what)) = (leg, what) {
            self.put(now, call, leg, what);
        }
    }

    /// What a command says to a trace; made before the command goes.
    pub(super) fn noted(&self, call: CallId, command: &PortCommand) -> Option<Noted> {
        if !self.noting.on {
            return None;
        }
        Some(match command {
            PortCommand::Open(plan) => Noted::Opened(PortFacts {
                local: Some(plan.local),
                remote: plan.remote.map(|it| it.rtp),
                codec: plan.codec.name(),
                dtmf_payload_type: plan.dtmf_payload_type,
                ways: [plan.send, plan.receive],
            }),
            PortCommand::Update(update) => Noted::Changed(PortFacts {
                local: None,
                remote: update.remote.map(|it| it.rtp),
                codec: update.codec.name(),
                dtmf_payload_type: update.dtmf_payload_type,
                ways: [update.send, update.receive],
            }),
            PortCommand::Play { play, .. } => Noted::Plays(play.id),
            PortCommand::Bridge { .. } => Noted::Joins,
            PortCommand::Unbridge { .. } => Noted::Parts,
            PortCommand::SendDigits { digits, .. } => {
                let shown = |digit: &media::Digit| self.key_shown(call, digit.as_char());
                Noted::Dials(digits.iter().map(shown).collect())
            }
            _ => return None,
        })
    }

    /// A port has opened: captured, where that is wanted.
    pub(super) fn note_open(&mut self, now: Now, call: CallId, worker: u8, port: PortId) {
        if self.noting.calls.contains(&call) {
            self.capture_port(now, call, worker, port);
        }
    }

    /// A worker told something of a call's port.
    pub(super) fn note_event(&mut self, now: Now, worker: u8, call: CallId, event: &PortEvent) {
        if !self.noting.on {
            return;
        }
        let leg_of = |port: PortId| self.calls.get(&call)?.call.leg_of(port);
        let (port, what) = match event {
            PortEvent::Digit {
                port, digit, how, ..
            } => {
                let via = match how {
                    media::worker::DtmfVia::Rfc4733 => "telephone-event",
                    media::worker::DtmfVia::InBand => "tones",
                };
                let digit = self.key_shown(call, digit.as_char());
                (*port, Noted::Presses { digit, via })
            }
            PortEvent::Played {
                port,
                play,
                complete,
            } => {
                let (play, complete) = (*play, *complete);
                (*port, Noted::Played { play, complete })
            }
            PortEvent::FirstPacket { port, from } => (*port, Noted::FirstHeard { from: *from }),
            PortEvent::NoMedia { silent_ms, .. } if !is_news(*silent_ms) => return,
            PortEvent::NoMedia {
                port, silent_ms, ..
            } => (*port, Noted::Silent { ms: *silent_ms }),
            PortEvent::MediaBack { port, silent_ms } => (
                *port,
                Noted::SoundsAgain {
                    after_ms: *silent_ms,
                },
            ),
            PortEvent::NoReports { port, silent_ms } => {
                (*port, Noted::ReportsEnded { ms: *silent_ms })
            }
            PortEvent::Stats { port, stats } | PortEvent::Closed { port, stats } => {
                let leg = leg_of(*port);
                let key = (worker, *port);
                if let (Some(at), Some(leg)) = (stats.first_sent, leg)
                    && self.noting.sent.insert(key)
                {
                    self.put(at, call, leg, Noted::FirstSent);
                }
                if matches!(event, PortEvent::Stats { .. }) {
                    return;
                }
                self.noting.sent.remove(&key);
                self.noting.capturing.remove(&key);
                let closed = Noted::Closed {
                    stats: Box::new(*stats),
                };
                if let Some(leg) = leg {
                    self.put(now, call, leg, closed);
                }
                return;
            }
            PortEvent::Lost { .. }
            | PortEvent::Refused { .. }
            | PortEvent::Departed { .. }
            | PortEvent::Garbage(_) => {
                return;
            }
        };
        if let Some(leg) = leg_of(port) {
            self.put(now, call, leg, what);
        }
    }

    /// A call is over.
    pub(super) fn note_end(&mut self, call: CallId) {
        self.noting.calls.remove(&call);
    }

    fn capture_port(&mut self, now: Now, call: CallId, worker: u8, port: PortId) {
        let leg = self
            .calls
            .get(&call)
            .and_then(|slot| slot.call.leg_of(port));
        let Some(leg) = leg else { return };
        if self.noting.capturing.len() >= self.noting.ports_max {
            return self.put(now, call, leg, Noted::NotCaptured);
        }
        let (capture, packets) = Capture::new(CAPTURE_PACKETS);
        let command = PortCommand::Capture { port, capture };
        if self.media.command(worker, command).is_err() {
            return self.put(now, call, leg, Noted::NotCaptured);
        }
        self.noting.capturing.insert((worker, port));
        self.put(now, call, leg, Noted::Captured);
        let captured = Captured { call, leg, packets };
        self.outputs.push_back(Output::Captured(captured));
    }

    fn put(&mut self, at: Now, call: CallId, leg: LegId, what: Noted) {
        let note = Note {
            at,
            call,
            leg,
            what,
        };
        self.outputs.push_back(Output::Note(note));
    }
}

/// A prompt in few words.
fn named(prompt: &Prompt) -> String {
    match prompt {
        Prompt::File(name) => format!("file {name}"),
        Prompt::Speech { text, .. } => {
            let short: String = text.chars().take(40).collect();
            let more = if text.chars().count() > 40 { "…" } else { "" };
            format!("say {short:?}{more}")
        }
        Prompt::Music(name) => format!("music {name}"),
        Prompt::Tone(name) => format!("tone {name}"),
        Prompt::Silence(span) => format!("silence {} ms", span.as_millis()),
    }
}

/// Packets that a capture's ring holds: 2.5 s of both directions, emptied twenty times a second.
const CAPTURE_PACKETS: usize = 256;

/// Callers whose next call is wished for.
const WISHES_MAX: usize = 64;

/// Whether a silence, told every [`NO_MEDIA_AFTER`], is noted again: when it is twice as long as before. A call
/// that nobody speaks in would else fill its trace with that.
const fn is_news(silent_ms: u32) -> bool {
    (silent_ms / NO_MEDIA_AFTER.as_millis() as u32).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::is_news;

    #[test]
    fn an_hour_of_silence_is_noted_eleven_times() {
        let told = (1..=1_800).map(|n| 1_900 * n + 7);
        let noted: Vec<u32> = told
            .filter(|ms| is_news(*ms))
            .map(|ms| ms / 1_000)
            .collect();
        assert_eq!(noted, [1, 3, 7, 15, 30, 60, 121, 243, 486, 972, 1_945]);
    }
}
