//! An answer that waits until what was said before it is acknowledged (RFC 3262 §3).

use std::time::Duration;

use sip::ua::{EndedBy, Event};

use super::{NOW, Rig, SESSION};
use crate::call::{Action, LegId};

const LATER: Duration = Duration::from_secs(3);

/// A caller who is to be answered while the 200 has to wait.
fn held() -> Rig {
    let mut rig = Rig::new();
    rig.ask(Action::Answer);
    let session = SESSION();
    rig.sip(LegId::CALLER, Event::AnswerHeld { session });
    rig
}

// covers: RFC 3262 §3
#[test]
fn a_call_is_answered_when_its_200_goes_out_and_not_before() {
    let mut rig = held();
    assert_eq!(rig.call.times().1, None);
    rig.now = NOW + LATER;
    let session = SESSION();
    rig.sip(LegId::CALLER, Event::AnswerSent { session });
    assert_eq!(rig.call.times().1, Some(NOW + LATER));
}

#[test]
fn a_call_that_ends_before_its_200_went_out_was_never_answered() {
    let mut rig = held();
    rig.dial(&[20_002], crate::call::Ringback::Keep);
    rig.answer_from(LegId(1));
    rig.ended(LegId(1), EndedBy::Peer);
    rig.ended(LegId::CALLER, EndedBy::Us);
    let cdr = rig.cdr().unwrap();
    assert_eq!((cdr.answered, cdr.bridged), (None, None));
}
