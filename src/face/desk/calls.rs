//! A desk's calls: what its line tells of them, in the page's words.

use std::collections::BTreeMap;

use bytes::Bytes;
use clock::Now;
use serde_json::{Value, json};

use super::fault::Fault;
use super::figures::Before;
use super::machine::{Ask, Desk, millis};
use crate::call::CallId;
use crate::control::CallContext;
use crate::face::line::{By, Event, Incoming, Party, Progress};

/// One call.
#[derive(Debug)]
pub(super) struct DeskCall {
    pub(super) name: String,
    /// What the API calls it, once that is known.
    pub(super) id: Option<CallId>,
    pub(super) stage: Stage,
    /// Their description that the page has not been told yet: it waits for what is known of the call.
    pub(super) offer: Option<Bytes>,
    pub(super) from: Party,
    /// The request that waits for a hold, and what was asked; the one that waits for a new description.
    pub(super) holds: Option<(u64, bool)>,
    pub(super) renews: Option<u64>,
    pub(super) held: bool,
    /// Nothing is heard of the page.
    pub(super) unheard: bool,
    /// The figures told last.
    pub(super) before: Option<Before>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Ringing,
    Dialling,
    Attaching,
    Up,
}

impl DeskCall {
    fn new(name: String, stage: Stage) -> Self {
        Self {
            name,
            id: None,
            stage,
            offer: None,
            from: Party::default(),
            holds: None,
            renews: None,
            held: false,
            unheard: false,
            before: None,
        }
    }

    pub(super) fn dialling(name: String) -> Self {
        Self::new(name, Stage::Dialling)
    }

    pub(super) fn attaching(name: String) -> Self {
        Self::new(name, Stage::Attaching)
    }
}

impl Desk {
    pub(super) fn call_mut(&mut self, name: &str) -> Option<&mut DeskCall> {
        self.calls.iter_mut().find(|call| call.name == name)
    }

    /// What the line tells.
    pub(super) fn on_call(&mut self, now: Now, event: Event) {
        match event {
            Event::Registered | Event::Refused { .. } => {}
            Event::Incoming(incoming) => self.on_incoming(*incoming),
            Event::Ringing { call, status, sdp } => {
                let early = sdp.is_some() || status == 183;
                let state = if early { "early" } else { "ringing" };
                let sdp = sdp.as_ref().map(shown);
                self.say(
                    "progress",
                    json!({"call": call, "state": state, "sdp": sdp}),
                );
            }
            Event::Answered { call, sdp, id } => self.on_answered(now, &call, sdp, id),
            Event::Held { call, on } => self.on_held(&call, on),
            Event::Offered { call, sdp, id } => self.on_offered(&call, sdp, id),
            Event::NotRenegotiated { call, status } => {
                let asked = self.call_mut(&call).and_then(|it| it.renews.take());
                if let Some(id) = asked {
                    self.refuse(Some(id), &Fault::NotAgreed(status));
                }
            }
            Event::Referred { call, progress } => {
                let (state, status) = match progress {
                    Progress::Trying(status) => ("trying", Some(status)),
                    Progress::Done => ("done", None),
                    Progress::Failed(status) => ("failed", Some(status)),
                };
                let told = json!({"call": call, "state": state, "status": status});
                self.say("transferred", told);
            }
            Event::Ended {
                call,
                by,
                status,
                q850,
                reason,
            } => self.on_ended(&call, by, (status, q850, reason)),
        }
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        let Incoming {
            call,
            sdp,
            from,
            id,
            ..
        } = incoming;
        let mut new = DeskCall::new(call, Stage::Ringing);
        new.id = id.and_then(|id| id.parse().ok());
        new.offer = Some(sdp);
        new.from = from;
        let (name, id) = (new.name.clone(), new.id);
        self.calls.push(new);
        self.wait_for_context(name, id);
    }

    /// A call is shown with what is known of it, and without if nothing is; one that rings as soon as the phone is
    /// registered not before the welcome, since with that a page begins anew.
    fn wait_for_context(&mut self, name: String, id: Option<CallId>) {
        if self.is_entering() {
            return;
        }
        match id {
            Some(call) => self.ask(Ask::Context { name, call }),
            None => self.on_context(&name, None),
        }
    }

    /// The page was welcomed: what has come meanwhile is shown.
    pub(super) fn show_waiting(&mut self) {
        let waiting = self.calls.iter().filter(|call| call.offer.is_some());
        let waiting: Vec<_> = waiting.map(|it| (it.name.clone(), it.id)).collect();
        for (name, id) in waiting {
            self.wait_for_context(name, id);
        }
    }

    pub(super) fn on_context(&mut self, name: &str, context: Option<Box<CallContext>>) {
        let Some(call) = self.call_mut(name) else {
            return;
        };
        // Answered or over meanwhile.
        let Some(offer) = call.offer.take() else {
            return;
        };
        let kind = match call.stage {
            Stage::Attaching => "attach",
            _ => "ring",
        };
        let mut told = known(&call.from, context.as_deref());
        told["call"] = name.into();
        told["sdp"] = shown(&offer).into();
        self.say(kind, told);
    }

    fn on_answered(&mut self, now: Now, name: &str, sdp: Option<Bytes>, id: Option<String>) {
        let Some(call) = self.call_mut(name) else {
            return;
        };
        if let Some(asked) = call.renews.take() {
            let sdp = sdp.as_ref().map(shown);
            return self.done_with(asked, json!({ "sdp": sdp }));
        }
        call.stage = Stage::Up;
        call.id = id.and_then(|id| id.parse().ok()).or(call.id);
        let sdp = sdp.as_ref().map(shown);
        self.say("answered", json!({"call": name, "sdp": sdp}));
        self.watch_figures(now);
    }

    fn on_held(&mut self, name: &str, on: bool) {
        let asked = self.call_mut(name).and_then(|call| {
            call.held = on;
            call.holds.take()
        });
        match asked {
            Some((id, wanted)) if wanted == on => self.done(id),
            Some((id, _)) => self.refuse(Some(id), &Fault::NotAgreed(488)),
            None => {}
        }
        self.say("held", json!({"call": name, "on": on, "by": "us"}));
    }

    fn on_offered(&mut self, name: &str, sdp: Bytes, id: Option<String>) {
        let Some(call) = self.call_mut(name) else {
            return;
        };
        if call.stage != Stage::Attaching {
            let told = json!({"call": name, "sdp": shown(&sdp)});
            return self.say("offer", told);
        }
        call.offer = Some(sdp);
        call.id = id.and_then(|id| id.parse().ok());
        let id = call.id;
        self.wait_for_context(name.to_owned(), id);
    }

    fn on_ended(
        &mut self,
        name: &str,
        by: By,
        (status, q850, reason): (Option<u16>, Option<u16>, Option<String>),
    ) {
        let Some(at) = self.calls.iter().position(|call| call.name == name) else {
            return;
        };
        let call = self.calls.remove(at);
        let waiting = [call.holds.map(|(id, _)| id), call.renews];
        for id in waiting.into_iter().flatten() {
            self.refuse(Some(id), &Fault::NoCall);
        }
        if let Some(id) = call.id {
            if self.over.len() >= OVER_MAX {
                self.over.pop_front();
            }
            self.over.push_back((call.name.clone(), id));
        }
        let by = match by {
            By::Us => "us",
            By::Nobody => "network",
            By::Them if call.stage != Stage::Ringing => "them",
            By::Them if reason.as_deref().is_some_and(is_elsewhere) => "other-agent",
            By::Them if q850 == Some(NO_ANSWER) => "no-answer",
            By::Them => "caller",
        };
        let cause = cause(status, q850);
        // What the page was not told of has not ended for it either.
        if !self.is_entering() {
            let told = json!({"call": name, "cause": cause, "by": by, "text": reason});
            self.say("ended", told);
        }
    }
}

/// Who calls and why, as far as that is known.
fn known(from: &Party, context: Option<&CallContext>) -> Value {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let Some(context) = context else {
        let caller = json!({"name": filled(&from.name), "number": filled(&from.number)});
        return json!({ "caller": caller, "path": [], "attributes": {} });
    };
    let attributes: BTreeMap<&str, &str> = context
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let name = filled(&context.name).or_else(|| filled(&from.name));
    json!({
        "caller": {"name": name, "number": filled(&context.number)},
        "queue": context.queue,
        "waited_ms": context.waited.map(millis),
        "path": context.path,
        "attributes": attributes,
        "timeout_ms": context.rings.map(millis),
    })
}

fn shown(sdp: &Bytes) -> String {
    String::from_utf8_lossy(sdp).into_owned()
}

/// Whether a Reason says that another contact answered (RFC 3326 §2).
fn is_elsewhere(reason: &str) -> bool {
    reason.contains("cause=200") || reason.contains("elsewhere")
}

/// Why a call ended, in a word that programs may know.
fn cause(status: Option<u16>, q850: Option<u16>) -> &'static str {
    match (status, q850) {
        (Some(486 | 600), _) | (_, Some(17)) => "busy",
        (Some(408 | 480), _) | (_, Some(18 | 19)) => "no-answer",
        (Some(404 | 484 | 604), _) | (_, Some(1 | 28)) => "no-such-number",
        (Some(500..=599), _) | (_, Some(34 | 38 | 41 | 42 | 44 | 47)) => "failed",
        (Some(400..=699), _) | (_, Some(21)) => "refused",
        _ => "normal",
    }
}

/// Q.850: the alerted user does not answer.
const NO_ANSWER: u16 = 19;
/// Calls that are over and may yet be written up.
const OVER_MAX: usize = 32;
