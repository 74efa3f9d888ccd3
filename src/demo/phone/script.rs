//! The script of a call that is up: one act after the other, each in its time.

use clock::Now;
use media::Digit;
use media::worker::{MediaPlane, PortCommand};
use sip::message::Method;
use sip::sdp::Direction;
use sip::ua::Ending;

use super::line::{Line, Live};
use super::{Act, Phone};
use crate::call::{Dtmf, info_body};

impl Phone {
    /// Does every act whose time has come.
    pub(super) fn follow_script(&mut self, now: Now, media: &mut dyn MediaPlane) {
        loop {
            let Line::Live(live) = &mut self.line else {
                return;
            };
            if !live.up {
                self.update_when_due(now);
                return self.answer_when_due(now, media);
            }
            let Some(at) = live.act_at else { return };
            if at > now && !live.hears_wanted() {
                return;
            }
            live.wanted = None;
            live.act_at = None;
            let Some(act) = self.plan.script.get(live.next_act).cloned() else {
                return;
            };
            live.next_act += 1;
            live.act_at = Some(now);
            self.perform(now, media, act);
        }
    }

    fn answer_when_due(&mut self, now: Now, media: &mut dyn MediaPlane) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        if live.answer_at.is_some_and(|at| at <= now) {
            live.answer_at = None;
            self.pick_up(now, media);
        }
    }

    fn perform(&mut self, now: Now, media: &mut dyn MediaPlane, act: Act) {
        let Line::Live(live) = &mut self.line else {
            return;
        };
        let session = live.session;
        match act {
            Act::Wait(time) => live.act_at = Some(now + time),
            Act::Hear(hz, within) => {
                live.wanted = Some(hz);
                live.act_at = Some(now + within);
            }
            Act::Press(keys) if self.habits.dtmf == Dtmf::Info => {
                for key in keys.chars() {
                    let body = Some(info_body(key, HELD_MS));
                    let _ = self.ua.request_in(now, session, Method::Info, &[], body);
                }
            }
            Act::Press(keys) => press(live, media, &keys),
            Act::Hold(on) => {
                let direction = if on {
                    Direction::SendOnly
                } else {
                    Direction::SendRecv
                };
                live.negotiation.set_direction(direction);
                if let Ok(offer) = live.negotiation.offer() {
                    self.ua.reinvite(now, session, Some(offer));
                }
            }
            Act::Rekey => {
                live.negotiation.renew_keys();
                if let Ok(offer) = live.negotiation.offer() {
                    self.ua.reinvite(now, session, Some(offer));
                }
            }
            Act::Refer(uri) => {
                self.send_refer(now, &uri, None);
            }
            Act::HangUp => self.ua.end(now, session, Ending::default()),
        }
    }
}

/// How long it holds a key.
const HELD_MS: u16 = 100;

fn press(live: &Live, media: &mut dyn MediaPlane, keys: &str) {
    let digits: Box<[Digit]> = keys.chars().filter_map(Digit::from_char).collect();
    let reserved = &live.reserved;
    let command = PortCommand::SendDigits {
        port: reserved.port,
        digits,
        duration_ms: HELD_MS,
    };
    // A ring that is full means a worker that is stuck: the call's checks will tell.
    let _ = media.command(reserved.worker, command);
}
