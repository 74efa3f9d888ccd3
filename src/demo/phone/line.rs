//! A phone's one line: the call it is in, its port, and what it hears.

use std::sync::Arc;

use bytes::Bytes;
use clock::Now;
use media::SAMPLE_RATE;
use media::dsp::{Tone, ToneMeter};
use media::port::{PlayId, Playback, PortId, Security};
use media::source::Clip;
use media::tap::{Tap, TapFrame};
use media::worker::{IpFamily, MediaPlane, PortCommand, Reserved};
use rtrb::Consumer;
use sip::message::Name;
use sip::sdp::{LocalMedia, Srtp};
use sip::ua::{Ending, Event as SipEvent, Invite, Reliable, SessionId};

use super::browser::Exchange;
use super::{Answering, Event, Heard, Phone};
use crate::call::{Dtmf, port_plan, port_update};

/// Whether the phone is in a call.
pub(super) enum Line {
    Idle,
    Live(Box<Live>),
    /// The call is over, the worker has not yet closed its port.
    Closing(PortId),
}

/// A call, from its first INVITE to its end.
pub(super) struct Live {
    pub(super) session: SessionId,
    pub(super) reserved: Reserved,
    pub(super) negotiation: Exchange,
    /// Both ends have answered.
    pub(super) up: bool,
    pub(super) answer_at: Option<Now>,
    /// When it offers anew before it answers.
    pub(super) update_at: Option<Now>,
    /// Its tone plays.
    speaks: bool,
    pub(super) next_act: usize,
    pub(super) act_at: Option<Now>,
    /// The tone that the script waits for.
    pub(super) wanted: Option<f32>,
    ear: Consumer<TapFrame>,
    meter: ToneMeter,
    /// What is heard before the call is up.
    before: ToneMeter,
}

/// Frames of 20 ms between worker and ear: whoever listens each second loses nothing.
const EAR_FRAMES: usize = 200;

/// A tone is heard at this level or more; phones speak at [`SPEAKS_DBFS`].
const HEARS_DBFS: f32 = -26.0;

/// The level of a phone's own tone.
const SPEAKS_DBFS: f32 = -12.0;

impl Live {
    pub(super) fn hears_wanted(&self) -> bool {
        self.wanted.is_some_and(|hz| self.meter.is_present(hz))
    }
}

impl Line {
    pub(super) fn listen(&mut self) {
        if let Self::Live(live) = self {
            while let Ok(frame) = live.ear.pop() {
                if live.up {
                    live.meter.measure(&frame.left);
                } else {
                    live.before.measure(&frame.left);
                }
            }
        }
    }

    pub(super) fn due(&self) -> Option<Now> {
        match self {
            Self::Live(live) => {
                let times = [live.act_at, live.answer_at, live.update_at];
                times.into_iter().flatten().min()
            }
            Self::Idle | Self::Closing(_) => None,
        }
    }

    pub(super) fn heard(&self) -> Option<Heard> {
        match self {
            Self::Live(live) => Some(Heard {
                tones: live.meter.tracks().copied().collect(),
                frames: live.meter.frames(),
                before: live.before.tracks().copied().collect(),
            }),
            Self::Idle | Self::Closing(_) => None,
        }
    }

    pub(super) fn has_port(&self, port: PortId) -> bool {
        matches!(self, Self::Live(live) if live.reserved.port == port)
    }

    pub(super) fn port_closed(&mut self, port: PortId) {
        if matches!(self, Self::Closing(closing) if *closing == port) {
            *self = Self::Idle;
        }
    }
}

impl Phone {
    /// Opens a port and sends the INVITE; `None` if there is no port or no room.
    pub(super) fn dial(
        &mut self,
        now: Now,
        media: &mut dyn MediaPlane,
        number: &str,
        headers: Vec<(String, String)>,
    ) -> Option<()> {
        let (reserved, mut negotiation) = self.reserve(media)?;
        let offer = if self.habits.offers_late {
            None
        } else {
            negotiation.offer().ok()
        };
        // An offer in a provisional response would be a second kind of late offer: not this phone's.
        let reliable = match offer {
            Some(_) if self.habits.early.pracks_with_offers => Reliable::ByUser,
            Some(_) if self.habits.reliable => Reliable::Required,
            Some(_) => Reliable::Supported,
            None => Reliable::No,
        };
        let invite = Invite {
            request_uri: format!("sip:{number}@{}", self.plan.domain),
            flow: self.plan.server,
            from: format!("<sip:{}@{}>", self.plan.user, self.plan.domain),
            to: format!("<sip:{number}@{}>", self.plan.domain),
            contact_user: self.plan.user.clone(),
            headers,
            offer,
            credentials: self.credentials(),
            max_forwards: 70,
            reliable,
            timers: None,
        };
        let Ok(session) = self.ua.invite(now, invite) else {
            media.release(reserved.worker, reserved.port);
            return None;
        };
        self.take_line(media, session, reserved, negotiation);
        Some(())
    }

    /// A call comes; `None` if the phone cannot take it.
    pub(super) fn ring(
        &mut self,
        now: Now,
        media: &mut dyn MediaPlane,
        session: SessionId,
        offer: Option<Bytes>,
    ) -> Option<()> {
        if !matches!(self.line, Line::Idle) {
            return None;
        }
        let answer_at = match self.plan.answering {
            Answering::After(time) => Some(now + time),
            Answering::Never => None,
            Answering::Refuse(status) => {
                self.ua.end(
                    now,
                    session,
                    Ending {
                        status,
                        ..Ending::default()
                    },
                );
                return Some(());
            }
        };
        let offer = offer?;
        let (reserved, mut negotiation) = self.reserve(media)?;
        let Ok(answer) = negotiation.answer(&offer) else {
            media.release(reserved.worker, reserved.port);
            self.ua.end(
                now,
                session,
                Ending {
                    status: 488,
                    ..Ending::default()
                },
            );
            return Some(());
        };
        let early = self.habits.early;
        let body = early.speaks.then(|| answer.clone());
        let status = if early.speaks { 183 } else { 180 };
        self.ua.progress(now, session, status, body);
        self.take_line(media, session, reserved, negotiation);
        if let Line::Live(live) = &mut self.line {
            live.answer_at = answer_at;
            let half = answer_at.map(|at| now + (at - now) / 2);
            live.update_at = half.filter(|_| early.speaks && early.updates);
        }
        self.answer = Some(answer);
        self.event(Event::Ringing);
        if early.speaks {
            self.speak(media);
            self.event(Event::Speaking);
        }
        Some(())
    }

    /// Answers the call that rings.
    pub(super) fn pick_up(&mut self, now: Now, media: &mut dyn MediaPlane) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        let session = live.session;
        self.ua.accept(now, session, self.answer.take(), &[]);
        self.is_up(now, media);
    }

    pub(super) fn on_session(&mut self, now: Now, media: &mut dyn MediaPlane, event: SipEvent) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        match event {
            SipEvent::Progressed {
                session,
                body,
                needs_answer,
                response,
                ..
            } if session == live.session => {
                let is_reliable = response.lists(Name::Require, "100rel");
                self.on_progress(now, media, body, (is_reliable, needs_answer));
            }
            SipEvent::Answered {
                session,
                body,
                needs_answer: true,
                ..
            } if session == live.session => {
                match body.map(|offer| live.negotiation.answer(&offer)) {
                    Some(Ok(answer)) => {
                        self.ua.acknowledge(now, session, Some(answer));
                        self.is_up(now, media);
                    }
                    _ => self.ua.end(now, session, Ending::default()),
                }
            }
            SipEvent::Answered { session, body, .. } if session == live.session => {
                // What came reliably holds, and whatever was agreed on since.
                let before = live.negotiation.agreed().is_some();
                match body.map(|body| live.negotiation.take_answer(&body)) {
                    Some(Ok(())) => self.is_up(now, media),
                    _ if before => self.is_up(now, media),
                    _ => self.ua.end(now, session, Ending::default()),
                }
            }
            SipEvent::Offered { session, body, .. } if session == live.session => {
                let answer = match body {
                    Some(offer) => live.negotiation.answer(&offer),
                    None => live.negotiation.offer(),
                };
                match answer {
                    Ok(answer) => self.ua.answer_offer(now, session, Some(answer)),
                    Err(error) => self.ua.refuse_offer(now, session, error.status()),
                }
                self.follow(media);
            }
            SipEvent::Confirmed {
                session,
                body: Some(answer),
            } if session == live.session
                && live.negotiation.awaits_answer()
                && live.negotiation.take_answer(&answer).is_ok() =>
            {
                self.follow(media);
            }
            SipEvent::OfferAnswered { session, result } if session == live.session => {
                match result {
                    Ok(Some(answer)) if live.negotiation.take_answer(&answer).is_ok() => {
                        self.follow(media);
                    }
                    _ => live.negotiation.abandon(),
                }
            }
            SipEvent::Refused {
                session, status, ..
            } if session == live.session => {
                self.over(media);
                self.event(Event::Refused(status));
            }
            SipEvent::Ended { session, .. } if session == live.session => {
                self.line.listen();
                let heard = self.line.heard().unwrap_or_default();
                self.over(media);
                self.event(Event::Over(heard));
            }
            _ => {}
        }
    }

    /// The call stands: its tone starts, its script runs.
    fn is_up(&mut self, now: Now, media: &mut dyn MediaPlane) {
        // What came before the answer is not this call's sound.
        self.line.listen();
        let Line::Live(live) = &mut self.line else {
            return;
        };
        live.up = true;
        live.act_at = Some(now);
        live.update_at = None;
        self.follow(media);
        self.speak(media);
        self.event(Event::Up);
        self.follow_script(now, media);
    }

    /// Its tone starts, unless it plays.
    fn speak(&mut self, media: &mut dyn MediaPlane) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        let (worker, port) = (live.reserved.worker, live.reserved.port);
        let clip = tone_clip(self.plan.tone_hz).filter(|_| !live.speaks);
        let Some(clip) = clip else { return };
        live.speaks = true;
        let play = Box::new(Playback {
            id: PlayId(1),
            clips: vec![clip],
            repeat: true,
            shared_clock: false,
        });
        let _ = media.command(worker, PortCommand::Play { port, play });
    }

    /// The port follows what was agreed.
    pub(super) fn follow(&self, media: &mut dyn MediaPlane) {
        let Line::Live(live) = &self.line else { return };
        let Reserved { worker, port, .. } = live.reserved;
        let mut update = port_update(port, live.negotiation.agreed());
        if let Some(keys) = live.negotiation.keys() {
            update.security = Security::Srtp(keys);
        }
        let _ = media.command(worker, PortCommand::Update(Box::new(update)));
    }

    fn reserve(&mut self, media: &mut dyn MediaPlane) -> Option<(Reserved, Exchange)> {
        let family = IpFamily::of(self.plan.server.remote.ip());
        let reserved = media.reserve(family).ok()?;
        let codecs = self.habits.codecs.clone();
        let mut local = LocalMedia::new(reserved.advertised, reserved.rtp.port(), codecs);
        local.dtmf = self.habits.dtmf.has_events();
        let line = self.random();
        local.srtp = match &self.habits.srtp {
            Srtp::Optional(seed) => Srtp::Optional(seed.of_leg(line)),
            Srtp::Required(seed) => Srtp::Required(seed.of_leg(line)),
            Srtp::Off | Srtp::Withheld => Srtp::Off,
        };
        let browses = self.habits.browses;
        Some((reserved, Exchange::new(local, self.random() >> 2, browses)))
    }

    fn take_line(
        &mut self,
        media: &mut dyn MediaPlane,
        session: SessionId,
        reserved: Reserved,
        negotiation: Exchange,
    ) {
        let port = reserved.port;
        let mut plan = port_plan(port, reserved.rtp, self.random(), negotiation.agreed());
        if let Some(keys) = negotiation.keys() {
            plan.security = Security::Srtp(keys);
        }
        let (tap, ear) = Tap::new(SAMPLE_RATE, EAR_FRAMES);
        let _ = media.command(reserved.worker, PortCommand::Open(Box::new(plan)));
        let _ = media.command(reserved.worker, PortCommand::Tap { port, tap });
        if self.habits.dtmf != Dtmf::Auto {
            // It hears tones too, to tell whether any reach it.
            let _ = media.command(reserved.worker, PortCommand::DetectTones { port, on: true });
        }
        self.line = Line::Live(Box::new(Live {
            session,
            reserved,
            negotiation,
            up: false,
            answer_at: None,
            update_at: None,
            speaks: false,
            next_act: 0,
            act_at: None,
            wanted: None,
            ear,
            meter: ToneMeter::new(&self.plan.listens_for, HEARS_DBFS),
            before: ToneMeter::new(&self.plan.listens_for, HEARS_DBFS),
        }));
    }

    fn over(&mut self, media: &mut dyn MediaPlane) {
        let Line::Live(live) = &self.line else { return };
        let Reserved { worker, port, .. } = live.reserved;
        self.line = Line::Closing(port);
        if media.command(worker, PortCommand::Close { port }).is_err() {
            self.line = Line::Idle;
        }
    }
}

/// One second of a tone: a whole number of cycles, so that it repeats without a seam.
fn tone_clip(hz: u16) -> Option<Arc<Clip>> {
    let mut samples = vec![0; SAMPLE_RATE as usize];
    Tone::new(f32::from(hz), SPEAKS_DBFS).fill(&mut samples);
    Clip::from_pcm8k(samples).ok().map(Arc::new)
}
