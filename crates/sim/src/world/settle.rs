//! After each step: what the server and the media plane have to say is carried until all are silent.

use std::net::SocketAddr;

use clock::{Duration, Now};
use media::worker::PortEvent;
use sip::message::Method;
use tandem::call::{CallId, Cdr, ClipRequest};
use tandem::control::{Event, Output, What};
use tandem::trunk::names::Answer;

use super::host::index_of;
use super::{Task, World};
use crate::check::Side;
use crate::media::{SERVER_IP, Sent};
use crate::swarm::Fault;

impl World<'_> {
    /// Carries every output to where it goes.
    pub(super) fn settle(&mut self) {
        let mut look = false;
        loop {
            if let Some(output) = self.control.poll_output() {
                look |= self.on_output(output);
                continue;
            }
            let sent = self.studio.lock().take_sent();
            if !sent.is_empty() {
                sent.into_iter().for_each(|sent| self.on_packet(sent));
                continue;
            }
            let event = self.studio.lock().poll_phones();
            if let Some(event) = event {
                self.on_phones_port(&event);
                continue;
            }
            let more = self.studio.lock().server_has_events();
            if !more {
                break;
            }
            self.control.poll_media(self.now);
        }
        if look {
            self.checks.center(&self.control);
        }
    }

    /// Whether queues are to be looked at.
    fn on_output(&mut self, output: Output) -> bool {
        match output {
            Output::Transmit { flow, bytes } | Output::Rebuff { flow, bytes } => {
                let Some(host) = index_of(flow.remote.ip()).filter(|it| *it < self.hosts.len())
                else {
                    self.checks
                        .word(format!("a message to nobody at {}", flow.remote));
                    return false;
                };
                self.carry(host, &bytes);
                let refuses = bytes.starts_with(b"SIP/2.0 4") || bytes.starts_with(b"SIP/2.0 6");
                let to_invite = || memmem(&bytes, b" INVITE\r\n");
                if self.plants(Fault::RefuseTwice) && refuses && to_invite() {
                    self.planted = true;
                    let mut again = bytes.to_vec();
                    again.splice(8..11, *b"599");
                    self.carry(host, &again.into());
                }
                false
            }
            Output::LoadClips { call, request } => {
                self.load(call, request);
                false
            }
            Output::Record { call, frames, .. } => {
                if self.recordings.insert(call, frames).is_some() {
                    self.checks
                        .broken(format!("{call} is recorded twice at once"));
                }
                false
            }
            Output::Vouch { .. } | Output::Close { .. } | Output::Listen { .. } => false,
            Output::RecordEnded { call } => {
                if self.recordings.remove(&call).is_none() {
                    self.checks
                        .broken(format!("{call} ended a recording that never began"));
                }
                false
            }
            Output::Cdr(cdr) => {
                self.on_record(&cdr);
                true
            }
            Output::Registered(_)
            | Output::Usage(_)
            | Output::Note(_)
            | Output::Captured(_)
            | Output::Gate(_) => false,
            Output::Resolve(question) => {
                let nobody = Answer::Failed("this world has no names".to_owned());
                self.control.resolved(self.now, &question, nobody);
                false
            }
            Output::Event(event) => self.on_event(event),
        }
    }

    fn on_event(&mut self, event: Event) -> bool {
        let look = self.checks.event(&event);
        match (&event.what, event.call) {
            (What::Bridged { with }, Some(call)) => self.bridged(call, with),
            (What::Transferred { by, to, how }, Some(call)) => {
                self.transferred(call, (by, to), *how);
            }
            _ => {}
        }
        if let What::Hearing { who, is } = &event.what {
            self.audio.push((event.at, who.clone(), *is));
        }
        if event.call.is_some() {
            self.first.get_or_insert(event);
        }
        look
    }

    fn on_record(&mut self, cdr: &Cdr) {
        if self.plants(Fault::LoseRecord) {
            self.planted = true;
            return;
        }
        self.checks.record(cdr);
        self.legs.extend(cdr.legs.iter().cloned());
        let first = self.first.clone().filter(|it| it.call == Some(cdr.call));
        if let Some(first) = first.filter(|_| self.plants(Fault::SpeakAfterEnd)) {
            self.planted = true;
            self.checks.event(&first);
        }
    }

    fn plants(&self, fault: Fault) -> bool {
        self.swarm.fault == Some(fault) && !self.planted
    }

    fn carry(&mut self, host: usize, bytes: &bytes::Bytes) {
        let Some(to) = self.hosts.get(host).map(|it| it.server_flow.remote) else {
            return;
        };
        let seen = self.checks.sent(Side::Server, host, to, bytes);
        for phone in self.forks_of(host, &seen, bytes) {
            if phone != host && seen.method == Some(Method::Invite) {
                self.checks.sent(Side::Server, phone, to, bytes);
            }
            let Some(it) = self.hosts.get_mut(phone) else {
                continue;
            };
            for at in it.down.carry(self.now).into_iter().flatten() {
                self.plan(at, Task::ToHost(phone, bytes.clone(), seen.clone()));
            }
        }
        let offers = matches!(seen.method, Some(Method::Invite | Method::Update));
        if offers && seen.inside && self.swarm.races.glare > 0 {
            let meets = self.mixer.chance(self.swarm.races.glare);
            let at = self.now + self.mixer.millis(0, 3);
            if meets {
                self.plan(at, Task::Glare(host));
            }
        }
    }

    fn on_packet(&mut self, sent: Sent) {
        let ours = sent.from.ip() == SERVER_IP;
        let far = if ours { sent.to } else { sent.from };
        if ours {
            self.checks.packet(sent.from, &sent.bytes);
            if self.plants(Fault::Stutter) {
                self.planted = true;
                self.checks.packet(sent.from, &sent.bytes);
                self.checks.packet(sent.from, &sent.bytes);
            }
        }
        let Some(it) = index_of(far.ip()).and_then(|host| self.hosts.get_mut(host)) else {
            return;
        };
        let cut = self.swarm.cut.filter(|_| !ours);
        if it.crashed || cut.is_some_and(|cut| is_cut(cut, far, self.now)) {
            return;
        }
        let link = if ours {
            &mut it.media_down
        } else {
            &mut it.media_up
        };
        for at in link.carry(self.now).into_iter().flatten() {
            self.plan(at, Task::Packet(sent.clone()));
        }
    }

    fn on_phones_port(&mut self, event: &PortEvent) {
        if !matches!(event, PortEvent::Closed { .. } | PortEvent::Digit { .. }) {
            return;
        }
        for host in 0..self.hosts.len() {
            let Some(it) = self.hosts.get_mut(host).filter(|it| !it.phone.is_idle()) else {
                continue;
            };
            it.phone.on_media(event);
        }
    }

    fn load(&mut self, call: CallId, request: ClipRequest) {
        let fails = self.random.chance(self.swarm.clips_fail);
        let clips: Option<Vec<_>> = request.items.iter().map(|it| self.stage.clip(it)).collect();
        let clips = clips
            .filter(|_| !fails)
            .ok_or_else(|| "the speech engine is away".to_owned());
        let late = self.random.millis(0, self.swarm.clips_late_ms + 1);
        let task = Task::Clips(call, request.leg, request.play, clips);
        self.plan(self.now + late.max(Duration::from_millis(1)), task);
    }
}

/// Whether what that host says is lost now.
fn is_cut((host, from, until): (usize, Now, Now), far: SocketAddr, now: Now) -> bool {
    index_of(far.ip()) == Some(host) && (from..until).contains(&now)
}

fn memmem(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|it| it == wanted)
}
