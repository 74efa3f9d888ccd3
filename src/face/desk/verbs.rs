//! What a page asks of its desk once it is in: of the line at once, of the API by an [`Ask`].

use bytes::Bytes;
use clock::Now;
use serde_json::json;

use super::calls::{DeskCall, Stage};
use super::fault::Fault;
use super::machine::{Ask, Desk, Then};
use super::wire::Verb;
use crate::call::{CallId, RecordAsk};
use crate::face::line::{Dial, Line, LineError};

impl Desk {
    pub(super) fn act(&mut self, now: Now, id: u64, verb: Verb) {
        let acted = match verb {
            Verb::Login(_) => Err(Fault::LoggedIn),
            Verb::LogOut => {
                self.done(id);
                return self.bye("logged-out");
            }
            Verb::Dial { call, to, sdp } => self.dial(now, call, to, sdp),
            Verb::Answer { call, sdp } | Verb::Attach { call, sdp } => self.answer(now, &call, sdp),
            Verb::Decline { call } => self.line(|line| line.refuse(now, &call, DECLINED)),
            Verb::HangUp { call } => self.line(|line| line.hang_up(now, &call)),
            Verb::Key { call, digit } => self.line(|line| line.key(now, &call, digit)),
            Verb::Transfer { call, to } => self
                .line(|line| line.refer(now, &call, &to))
                .map_err(|fault| addressed(fault, &to)),
            Verb::Complete { call, with } => {
                self.line(|line| line.refer_replacing(now, &call, &with))
            }
            // These are done when the other side has agreed.
            Verb::Hold { call, on } => return self.hold(now, id, &call, on),
            Verb::Renegotiate { call, sdp } => return self.renegotiate(now, id, &call, sdp),
            // And these when the API says so.
            Verb::Merge { calls } => {
                self.resume(now, &calls);
                return self.ask_for(id, Verb::Merge { calls });
            }
            verb => return self.ask_for(id, verb),
        };
        match acted {
            Ok(()) => self.done(id),
            Err(fault) => self.refuse(Some(id), &fault),
        }
    }

    fn line(&mut self, verb: impl FnOnce(&mut Line) -> Result<(), LineError>) -> Result<(), Fault> {
        let line = self.line.as_mut().ok_or(Fault::LoginFirst)?;
        Ok(verb(line)?)
    }

    fn dial(&mut self, now: Now, call: String, to: String, sdp: String) -> Result<(), Fault> {
        let dial = Dial {
            to: to.clone(),
            sdp: Bytes::from(sdp),
            headers: Vec::new(),
        };
        self.line(|line| line.dial(now, &call, dial))
            .map_err(|fault| addressed(fault, &to))?;
        self.calls.push(DeskCall::dialling(call));
        Ok(())
    }

    fn answer(&mut self, now: Now, name: &str, sdp: String) -> Result<(), Fault> {
        self.line(|line| line.answer(now, name, Bytes::from(sdp)))?;
        if let Some(call) = self.call_mut(name) {
            call.stage = Stage::Up;
        }
        self.watch_figures(now);
        Ok(())
    }

    fn hold(&mut self, now: Now, id: u64, name: &str, on: bool) {
        match self.line(|line| line.hold(now, name, on)) {
            Ok(()) => {
                if let Some(call) = self.call_mut(name) {
                    call.holds = Some((id, on));
                }
            }
            Err(fault) => self.refuse(Some(id), &fault),
        }
    }

    fn renegotiate(&mut self, now: Now, id: u64, name: &str, sdp: String) {
        match self.line(|line| line.renegotiate(now, name, Bytes::from(sdp))) {
            Ok(()) => {
                if let Some(call) = self.call_mut(name) {
                    call.renews = Some(id);
                }
            }
            Err(fault) => self.refuse(Some(id), &fault),
        }
    }

    fn ask_for(&mut self, id: u64, verb: Verb) {
        if self.asking >= ASKING_MAX {
            return self.refuse(Some(id), &Fault::TooMuch);
        }
        match self.asked(id, verb) {
            Ok(ask) => {
                self.asking += 1;
                self.ask(ask);
            }
            Err(fault) => self.refuse(Some(id), &fault),
        }
    }

    fn asked(&self, id: u64, verb: Verb) -> Result<Ask, Fault> {
        let agent = self.agent.clone();
        Ok(match verb {
            Verb::Status { want, reason } => Ask::Wish {
                id,
                agent,
                wish: want,
                reason,
            },
            Verb::WrapUp(ask) => Ask::WrapUp { id, agent, ask },
            Verb::Pick { waiting } => Ask::Pick {
                id,
                agent,
                call: waiting,
            },
            Verb::Record { call, ask } => Ask::Record {
                id,
                call: self.standing(&call)?,
                name: call,
                ask,
            },
            Verb::Merge { calls: [a, b] } => Ask::Merge {
                id,
                endpoint: self.endpoint(),
                calls: [self.standing(&a)?, self.standing(&b)?],
                names: [a, b],
            },
            Verb::Note { call, text } => Ask::Write {
                id,
                agent,
                call: self.known(&call)?,
                note: Some(text),
                disposition: None,
            },
            Verb::Dispose { call, code } => Ask::Write {
                id,
                agent,
                call: self.known(&call)?,
                note: None,
                disposition: Some(code),
            },
            // What is asked of the line was.
            _ => return Err(Fault::NotNow),
        })
    }

    fn endpoint(&self) -> String {
        let line = self.line.as_ref();
        line.map_or_else(String::new, |line| line.user().to_owned())
    }

    /// Those who are to hear each other are held no more.
    fn resume(&mut self, now: Now, names: &[String; 2]) {
        let held = |name: &&String| self.calls.iter().any(|it| it.name == **name && it.held);
        let held: Vec<String> = names.iter().filter(held).cloned().collect();
        for name in held {
            // One that changes just now is held or not by that change.
            let _ = self.line(|line| line.hold(now, &name, false));
        }
    }

    /// What the API calls a call that stands.
    fn standing(&self, name: &str) -> Result<CallId, Fault> {
        let call = self.calls.iter().find(|call| call.name == name);
        let call = call.ok_or(Fault::NoCall)?;
        call.id
            .filter(|_| call.stage == Stage::Up)
            .ok_or(Fault::NotNow)
    }

    /// The same of one that stands, rings or is over.
    fn known(&self, name: &str) -> Result<CallId, Fault> {
        let live = self.calls.iter().find(|call| call.name == name);
        let over = self.over.iter().rev().find(|(over, _)| over == name);
        match (live, over) {
            (Some(call), _) => call.id.ok_or(Fault::NotNow),
            (None, Some((_, id))) => Ok(*id),
            (None, None) => Err(Fault::NoCall),
        }
    }

    /// Tells what follows a request that is done.
    pub(super) fn follow(&mut self, then: Option<Then>) {
        match then {
            Some(Then::Recording { name, ask }) => {
                let state = match ask {
                    RecordAsk::Pause => "paused",
                    RecordAsk::Stop => "stopped",
                    _ => "recording",
                };
                self.say("recording", json!({"call": name, "state": state}));
            }
            Some(Then::Merged { names }) => self.say("merged", json!({ "calls": names })),
            None => {}
        }
    }
}

fn addressed(fault: Fault, to: &str) -> Fault {
    match fault {
        Fault::Address(_) => Fault::Address(to.to_owned()),
        other => other,
    }
}

/// He does not want it: the next agent is rung (RFC 3261 §21.6.2).
const DECLINED: u16 = 603;
/// Requests of one page that the API has not answered.
const ASKING_MAX: usize = 16;
