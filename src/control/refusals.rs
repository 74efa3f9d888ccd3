//! What was refused lately, kept for whoever asks why.
//!
//! Bounded twice, so that strangers who knock without end cannot push out the calls that a customer
//! lost: refused INVITEs and troubles of calls in one ring, everything else in another. The oldest
//! falls out.

use std::collections::VecDeque;

use clock::Now;
use sip::message::Message;
use sip::transport::Flow;

use super::event::{Event, What};
use super::facts::RequestFacts;
use super::refusal::Refusal;
use super::{Control, Output};
use crate::call::{CallId, Cause};
use crate::explain::Explanation;

/// One thing that was refused, or that went wrong in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: Now,
    /// In which call, if there was one already.
    pub call: Option<CallId>,
    /// The status of the answer; 0 for silence and for what went wrong without one.
    pub status: u16,
    /// Why.
    pub why: Explanation,
    /// The request, where there was one.
    pub request: Option<Box<RequestFacts>>,
}

/// The last of them.
#[derive(Debug, Default)]
pub struct Refusals {
    calls: VecDeque<Refused>,
    others: VecDeque<Refused>,
}

impl Refusals {
    fn push(&mut self, refused: Refused) {
        let calls = refused.request.as_ref().is_some_and(|it| it.is_call());
        let ring = match calls || refused.call.is_some() {
            true => &mut self.calls,
            false => &mut self.others,
        };
        if ring.len() >= REFUSALS_KEPT {
            ring.pop_front();
        }
        ring.push_back(refused);
    }

    /// All that is kept: calls first, of each kind the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Refused> {
        self.calls.iter().rev().chain(self.others.iter().rev())
    }

    /// Those of a call, by our id or the SIP Call-ID; the newest first.
    pub fn of_call<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Refused> {
        let ours: Option<CallId> = id.parse().ok();
        self.iter().filter(move |it| {
            let sip = it.request.as_ref().is_some_and(|it| it.sip_call_id == id);
            sip || (ours.is_some() && it.call == ours)
        })
    }
}

impl Control {
    /// The header that tells the peer why, where its trunk is to be told. Whoever must still prove who
    /// he is learns nothing.
    pub(super) fn explain_to(&self, flow: Flow, refusal: &Refusal) -> Option<(String, String)> {
        let trunk = self.trunks.owner(flow)?;
        let told = trunk.explain_header && trunk.inbound.is_none();
        told.then(|| explain_header(&refusal.explanation()))
    }

    /// The same for a call that was admitted by that trunk.
    pub(super) fn explain_call(&self, call: CallId, cause: Cause) -> Option<(String, String)> {
        let slot = self.calls.get(&call)?;
        let told = self.trunks.trunk(slot.trunk.as_deref()?)?.explain_header;
        let unanswered = slot.call.times().1.is_none();
        let step = slot.step.clone();
        let flow = || Some(Refusal::Flow { cause, step: step? }.explanation());
        let why = slot.trouble.clone().or_else(flow)?;
        (told && unanswered).then(|| explain_header(&why))
    }

    /// What was refused lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Tells why a request is refused, and keeps it; of a flood of them a part.
    pub(super) fn note_refusal(
        &mut self,
        now: Now,
        status: u16,
        refusal: &Refusal,
        request: Option<(&Message, Flow)>,
    ) {
        if !self.guard.may_tell(now) {
            return;
        }
        let facts = request.map(|(request, flow)| Box::new(RequestFacts::of(request, flow)));
        let why = refusal.explanation();
        self.refusals.push(Refused {
            at: now,
            call: None,
            status,
            why: why.clone(),
            request: facts.clone(),
        });
        let what = What::Refused {
            status,
            why,
            request: facts,
        };
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: None,
            what,
        }));
    }

    /// Keeps why a request is refused, and does not tell it.
    pub(super) fn keep_refusal(
        &mut self,
        now: Now,
        status: u16,
        refusal: &Refusal,
        (request, flow): (&Message, Flow),
    ) {
        self.refusals.push(Refused {
            at: now,
            call: None,
            status,
            why: refusal.explanation(),
            request: Some(Box::new(RequestFacts::of(request, flow))),
        });
    }

    /// Tells what went wrong in a call, and keeps it for its record.
    pub(super) fn trouble(&mut self, now: Now, call: CallId, refusal: &Refusal) {
        self.trouble_told(now, call, refusal.explanation());
    }

    pub(super) fn trouble_told(&mut self, now: Now, call: CallId, why: Explanation) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        slot.trouble = Some(why.clone());
        self.refusals.push(Refused {
            at: now,
            call: Some(call),
            status: 0,
            why: why.clone(),
            request: None,
        });
        self.event(now, call, What::Trouble(why));
    }
}

/// One line of printable text, whatever strangers wrote.
fn explain_header(why: &Explanation) -> (String, String) {
    let text = why.to_string();
    let text = text.chars().filter(|it| !it.is_control());
    (
        "X-Tandem-Explain".to_owned(),
        text.take(HEADER_MAX).collect(),
    )
}

/// Characters of the header that tells why.
const HEADER_MAX: usize = 400;

/// Kept of each kind: a bad hour of a large site, in about a megabyte.
pub const REFUSALS_KEPT: usize = 1_000;
