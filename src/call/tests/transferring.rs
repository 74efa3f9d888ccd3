//! Transfers by REFER, from either side.

use super::*;

/// A bridged call: the caller's leg 0, the callee's leg 1.
fn bridged() -> Rig {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    rig.answer_from(LegId(1));
    rig
}

impl Rig {
    /// `by` hands its partner on; the target rings at leg 2.
    fn refer(&mut self, by: LegId) -> DialToken {
        let to = Destination::Endpoint("carol".to_owned());
        self.call.transfer(self.now, by, to, News::Notify);
        self.drain();
        let token = self.log.iter().rev().find_map(|output| match output {
            Output::Resolve { token, .. } => Some(*token),
            _ => None,
        });
        token.unwrap()
    }

    fn refer_to(&mut self, by: LegId, port: u16) {
        let token = self.refer(by);
        self.call.resolved(self.now, token, vec![target(port)]);
        self.drain();
    }

    fn notified(&self, leg: LegId) -> Vec<(u16, bool)> {
        let said = self.said(leg).into_iter();
        let news = said.filter_map(|command| match command {
            SipCommand::NotifyTransfer { status, last, .. } => Some((status, last)),
            _ => None,
        });
        news.collect()
    }

    pub(super) fn ends(&self, leg: LegId) -> bool {
        let said = self.said(leg);
        said.iter().any(|it| matches!(it, SipCommand::End(_)))
    }

    /// The two ports that were bridged last.
    fn last_bridged(&self) -> Vec<u32> {
        let mut ports = self.bridged_ports();
        let mut last = ports.split_off(ports.len() - 2);
        last.sort_unstable();
        last
    }

    /// Who handed on, as told.
    fn transferred(&self) -> Vec<(Party, String)> {
        let told = self.told().into_iter();
        let by = told.filter_map(|notice| match notice {
            Notice::Transferred { by, handover, .. } => Some((by, handover.to)),
            _ => None,
        });
        by.collect()
    }
}

const CALLEE: LegId = LegId(1);
const TARGET: LegId = LegId(2);

// covers: RFC 3515 §2.4
#[test]
fn a_callee_s_refer_brings_the_target_and_releases_the_transferor() {
    let mut rig = bridged();
    rig.refer_to(CALLEE, 20_004);
    rig.answer_from(TARGET);
    assert_eq!(rig.notified(CALLEE), [(100, false), (200, true)]);
    assert!(rig.ends(CALLEE) && !rig.ends(LegId::CALLER));
    assert_eq!(rig.last_bridged(), [20_000, 20_004]);
    let to = "phone-20004".to_owned();
    assert_eq!(rig.transferred(), [(Party::Callee, to)]);
    rig.ended(TARGET, EndedBy::Peer);
    let result = DialResult::Completed(Party::Callee);
    let token = DialToken(9);
    assert!(rig.told().contains(&Notice::DialEnded { token, result }));
    assert!(!rig.call.is_ending(), "the plan goes on with the caller");
}

// covers: RFC 3515 §2.4
#[test]
fn a_caller_s_refer_joins_callee_and_target_and_the_call_outlives_the_caller() {
    let mut rig = bridged();
    rig.refer_to(LegId::CALLER, 20_004);
    rig.answer_from(TARGET);
    assert_eq!(rig.notified(LegId::CALLER), [(100, false), (200, true)]);
    assert!(rig.ends(LegId::CALLER) && !rig.ends(CALLEE));
    assert_eq!(rig.last_bridged(), [20_002, 20_004]);
    let to = "phone-20004".to_owned();
    assert_eq!(rig.transferred(), [(Party::Caller, to)]);
    rig.ended(LegId::CALLER, EndedBy::Us);
    assert!(!rig.call.is_ending());
    // Either of the two who are left ends the call: there is no plan to go on with.
    rig.ended(TARGET, EndedBy::Peer);
    assert!(rig.ends(CALLEE));
    rig.ended(CALLEE, EndedBy::Us);
    let cdr = rig.cdr().unwrap();
    let handovers: Vec<_> = cdr
        .handovers
        .iter()
        .map(|it| (it.to.as_str(), it.how))
        .collect();
    assert_eq!(handovers, [("phone-20004", How::Blind)]);
}

#[test]
fn a_transferor_who_leaves_at_once_leaves_the_party_ringing() {
    for by in [LegId::CALLER, CALLEE] {
        let party = LegId(1 - by.0);
        let mut rig = bridged();
        rig.refer_to(by, 20_004);
        rig.ended(by, EndedBy::Peer);
        assert!(!rig.call.is_ending(), "by {by:?}");
        rig.answer_from(TARGET);
        assert!(!rig.ends(party));
        assert_eq!(rig.transferred().len(), 1);
        let port = 20_000 + 2 * party.0;
        assert_eq!(rig.last_bridged(), [port, 20_004]);
    }
}

#[test]
fn a_transfer_that_is_refused_brings_the_parties_together_again() {
    for by in [LegId::CALLER, CALLEE] {
        let mut rig = bridged();
        rig.refer_to(by, 20_004);
        rig.refusal_from(TARGET, 486);
        assert_eq!(rig.notified(by), [(100, false), (486, true)]);
        assert_eq!(rig.last_bridged(), [20_000, 20_002], "by {by:?}");
        assert!(rig.transferred().is_empty());
        // Parts are as they were: the callee's end leaves the caller to the plan.
        rig.ended(CALLEE, EndedBy::Peer);
        assert!(!rig.call.is_ending());
    }
}

#[test]
fn nobody_is_left_waiting_when_a_transfer_fails_after_the_transferor_has_gone() {
    let mut rig = bridged();
    rig.refer_to(LegId::CALLER, 20_004);
    rig.ended(LegId::CALLER, EndedBy::Peer);
    rig.refusal_from(TARGET, 486);
    assert!(
        rig.ends(CALLEE),
        "the callee has neither a caller nor a plan"
    );

    let mut rig = bridged();
    rig.refer_to(CALLEE, 20_004);
    rig.ended(CALLEE, EndedBy::Peer);
    rig.refusal_from(TARGET, 486);
    assert!(!rig.call.is_ending(), "the plan goes on with the caller");
}

#[test]
fn a_party_who_hangs_up_while_the_target_rings_leaves_the_caller_to_the_plan() {
    let mut rig = bridged();
    rig.refer_to(LegId::CALLER, 20_004);
    rig.ended(CALLEE, EndedBy::Peer);
    assert!(rig.ends(TARGET));
    assert_eq!(rig.notified(LegId::CALLER), [(100, false), (487, true)]);
    let result = DialResult::Completed(Party::Callee);
    let token = DialToken(9);
    assert!(rig.told().contains(&Notice::DialEnded { token, result }));
    assert!(!rig.ends(LegId::CALLER));
}

#[test]
fn a_target_that_is_nowhere_or_never_answers_ends_the_transfer() {
    let mut rig = bridged();
    let token = rig.refer(CALLEE);
    rig.call.resolved(NOW, token, Vec::new());
    rig.drain();
    assert_eq!(rig.notified(CALLEE), [(100, false), (404, true)]);

    let mut rig = bridged();
    rig.refer_to(CALLEE, 20_004);
    rig.now = rig.call.deadline().unwrap();
    rig.call.handle_timeout(rig.now);
    rig.drain();
    assert_eq!(rig.notified(CALLEE), [(100, false), (408, true)]);
    assert!(rig.ends(TARGET));
    assert_eq!(rig.last_bridged(), [20_000, 20_002]);
}

#[test]
fn one_transfer_at_a_time_and_none_without_a_partner() {
    let mut rig = Rig::waiting();
    assert_eq!(
        rig.call.may_transfer(LegId::CALLER),
        Err(NoTransfer::NotBridged)
    );
    rig.dial(&[20_002], Ringback::Keep);
    assert_eq!(
        rig.call.may_transfer(CALLEE),
        Err(NoTransfer::NotBridged),
        "it has not answered"
    );
    rig.answer_from(CALLEE);
    assert_eq!(rig.call.may_transfer(CALLEE), Ok(()));
    rig.refer_to(CALLEE, 20_004);
    assert_eq!(
        rig.call.may_transfer(LegId::CALLER),
        Err(NoTransfer::UnderWay)
    );
}

// covers: RFC 4488 §4
#[test]
fn who_asks_for_no_news_gets_none() {
    let mut rig = bridged();
    let to = Destination::Endpoint("carol".to_owned());
    rig.call.transfer(NOW, CALLEE, to, News::None);
    rig.drain();
    assert!(rig.notified(CALLEE).is_empty());
}

#[test]
fn music_of_a_hold_that_a_failed_transfer_did_not_end_plays_again() {
    let mut rig = Rig::waiting();
    rig.dial(&[20_002], Ringback::Keep);
    let mut agent = phone(5_000);
    let answer = agent.answer(&rig.offer_to(CALLEE)).unwrap();
    rig.answered(CALLEE, answer);
    agent.set_direction(sip::sdp::Direction::SendOnly);
    let offer = Some(agent.offer().unwrap());
    let session = SESSION();
    rig.sip(
        CALLEE,
        Event::Offered {
            session,
            body: offer,
            fork: 0,
        },
    );
    rig.refer_to(CALLEE, 20_004);
    rig.log.clear();
    rig.refusal_from(TARGET, 486);
    let plays = |output: &Output| matches!(output, Output::Port(PortCommand::Play { port, .. }) if *port == PortId(20_000));
    assert!(rig.log.iter().any(plays));
}

fn newcomer(port: u16, offer: Option<Bytes>) -> Newcomer {
    let label = Label {
        address: "newcomer".to_owned(),
        ..Label::default()
    };
    Newcomer {
        label,
        offer,
        media: media(port),
    }
}

impl Rig {
    fn replace(&mut self, old: LegId) -> LegId {
        assert!(self.call.replaceable(old));
        let offer = phone(6_000).offer().ok();
        let new = self.call.replace(old, newcomer(20_006, offer));
        self.drain();
        new
    }

    fn confirmed(&mut self, leg: LegId) {
        let session = SESSION();
        self.sip(
            leg,
            Event::Confirmed {
                session,
                body: None,
            },
        );
    }
}

// covers: RFC 3891 §3
#[test]
fn a_newcomer_is_in_its_place_once_its_ack_has_come() {
    for (old, other) in [(LegId::CALLER, CALLEE), (CALLEE, LegId::CALLER)] {
        let mut rig = bridged();
        let new = rig.replace(old);
        assert!(!rig.ends(old));
        rig.confirmed(new);
        assert!(rig.ends(old) && !rig.ends(other), "{old:?}");
        let port = 20_000 + 2 * other.0;
        assert_eq!(rig.last_bridged(), [port, 20_006]);
        let names: Vec<_> = rig.call.handovers().iter().map(|it| it.how).collect();
        assert_eq!(names, [How::Replaced]);
        rig.ended(old, EndedBy::Us);
        assert!(!rig.call.is_ending());
        // The newcomer's end is that of whom it replaced.
        rig.ended(new, EndedBy::Peer);
        assert_eq!(rig.call.is_ending(), old == LegId::CALLER);
    }
}

#[test]
fn a_newcomer_who_never_acknowledges_changes_nothing() {
    let mut rig = bridged();
    let new = rig.replace(CALLEE);
    rig.ended(new, EndedBy::NoAck);
    assert!(!rig.ends(CALLEE) && !rig.ends(LegId::CALLER));
    assert!(rig.call.handovers().is_empty());
    assert!(rig.call.replaceable(CALLEE));
}

#[test]
fn who_is_replaced_may_leave_before_the_ack() {
    let mut rig = bridged();
    let new = rig.replace(CALLEE);
    rig.ended(CALLEE, EndedBy::Peer);
    assert_eq!(rig.last_bridged(), [20_000, 20_006]);
    rig.confirmed(new);
    rig.ended(new, EndedBy::Peer);
    let result = DialResult::Completed(Party::Callee);
    let token = DialToken(9);
    assert!(rig.told().contains(&Notice::DialEnded { token, result }));
}

#[test]
fn a_newcomer_in_a_waiting_caller_s_place_hears_the_music() {
    let mut rig = Rig::waiting();
    let new = rig.replace(LegId::CALLER);
    rig.log.clear();
    rig.confirmed(new);
    let plays = |output: &Output| matches!(output, Output::Port(PortCommand::Play { port, .. }) if *port == PortId(20_006));
    assert!(rig.log.iter().any(plays), "{:?}", rig.log);
    assert!(rig.ends(LegId::CALLER));
    assert!(
        !rig.told()
            .iter()
            .any(|it| matches!(it, Notice::Played { .. })),
        "the plan's music goes on"
    );
}

// covers: RFC 3891 §3
#[test]
fn a_call_that_rings_elsewhere_is_picked_up() {
    let mut rig = Rig::waiting();
    let token = rig.dial(&[20_002, 20_004], Ringback::Keep);
    let new = rig.replace(CALLEE);
    rig.confirmed(new);
    assert!(rig.told().contains(&Notice::Bridged(token)));
    assert!(rig.ends(CALLEE) && rig.ends(LegId(2)));
    assert_eq!(rig.last_bridged(), [20_000, 20_006]);
}

#[test]
fn a_newcomer_without_a_common_codec_is_refused_and_nothing_changes() {
    let mut rig = bridged();
    let offer = Bytes::from_static(
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
          m=audio 4000 RTP/AVP 18\r\n",
    );
    let new = rig.call.replace(CALLEE, newcomer(20_006, Some(offer)));
    rig.drain();
    assert_eq!(rig.said(new), [SipCommand::End(Cause::IncompatibleMedia)]);
    assert!(!rig.ends(CALLEE) && rig.call.replaceable(CALLEE));
}

/// Two calls: the first waits for a party of the second, whose agent is its caller.
fn consulting(by: LegId) -> (Rig, Rig) {
    let mut first = bridged();
    first.call.await_leg(NOW, by, News::Notify);
    first.drain();
    let mut second = bridged();
    second.confirmed(LegId::CALLER);
    (first, second)
}

#[test]
fn an_attended_transfer_joins_the_partners_and_ends_both_legs_of_the_transferor() {
    for by in [LegId::CALLER, CALLEE] {
        let (mut first, mut second) = consulting(by);
        assert_eq!(second.call.lendable(LegId::CALLER), Some(CALLEE));
        let lent = second.call.lend(NOW, CALLEE, LegId::CALLER, "x", true);
        second.drain();
        // The ports of both rigs have the same names; the one that moves is told apart by its plan.
        let mut lent = lent.unwrap();
        lent.rename(PortId(30_000));
        let new = first.call.adopt(NOW, lent, None);
        first.drain();
        assert_eq!(first.notified(by), [(100, false), (200, true)]);
        assert!(first.ends(by) && second.ends(LegId::CALLER));
        let party = LegId(1 - by.0);
        assert!(!first.ends(party) && !first.ends(new));
        assert_eq!(first.last_bridged(), [20_000 + 2 * party.0, 30_000]);
        second.ended(LegId::CALLER, EndedBy::Us);
        assert!(second.cdr().is_some(), "the other call is over");
        first.ended(by, EndedBy::Us);
        assert!(!first.call.is_ending());
    }
}

#[test]
fn a_leg_that_cannot_be_moved_leaves_both_calls_as_they_were() {
    let (mut first, mut second) = consulting(CALLEE);
    second.call.move_to(NOW, CALLEE, 40_000);
    second.drain();
    let asked = |rig: &Rig| {
        let said = rig.said(CALLEE);
        let count = said
            .iter()
            .filter(|it| matches!(it, SipCommand::Reoffer(_)));
        count.count()
    };
    assert_eq!(asked(&second), 1);
    let session = SESSION();
    second.sip(
        CALLEE,
        Event::OfferAnswered {
            session,
            result: Err(488),
        },
    );
    let moved = second.log.iter().find_map(|output| match output {
        Output::Moved { ready, .. } => Some(*ready),
        _ => None,
    });
    assert_eq!(moved, Some(false));
    first.call.leg_not_coming(NOW, 488);
    first.drain();
    assert_eq!(first.notified(CALLEE), [(100, false), (488, true)]);
    for rig in [&first, &second] {
        assert!(!rig.ends(LegId::CALLER) && !rig.ends(CALLEE));
    }
    assert!(second.call.lendable(LegId::CALLER).is_some());
}

#[test]
fn a_transferor_who_hangs_up_while_the_target_moves_loses_nobody() {
    let (mut first, mut second) = consulting(CALLEE);
    second.call.move_to(NOW, CALLEE, 40_000);
    second.drain();
    second.ended(LegId::CALLER, EndedBy::Peer);
    first.ended(CALLEE, EndedBy::Peer);
    assert!(!second.ends(CALLEE) && !first.ends(LegId::CALLER));
    assert!(first.call.awaits_leg());
    // It does not come off: each is dealt with as if the transferor had just left.
    let session = SESSION();
    second.sip(
        CALLEE,
        Event::OfferAnswered {
            session,
            result: Err(500),
        },
    );
    assert!(second.ends(CALLEE), "its caller is gone");
    first.call.leg_not_coming(NOW, 488);
    first.drain();
    assert!(!first.call.is_ending(), "the plan goes on with its caller");
}

// covers: RFC 3515 §2.4
#[test]
fn a_transfer_rings_every_place_of_the_target_and_the_first_answer_has_it() {
    let mut rig = bridged();
    let token = rig.refer(CALLEE);
    let places = [20_004, 20_006, 20_008].map(target).to_vec();
    rig.call.resolved(rig.now, token, places);
    rig.drain();
    rig.refusal_from(TARGET, 486);
    assert_eq!(rig.notified(CALLEE), [(100, false)], "two still ring");
    rig.answer_from(LegId(4));
    assert_eq!(rig.notified(CALLEE), [(100, false), (200, true)]);
    assert_eq!(rig.last_bridged(), [20_000, 20_008]);
    assert!(rig.ends(LegId(3)) && rig.ends(CALLEE));
    assert!(!rig.ends(LegId(4)) && !rig.ends(LegId::CALLER));
}

#[test]
fn a_transfer_fails_with_the_refusal_that_says_most() {
    let mut rig = bridged();
    let token = rig.refer(CALLEE);
    let places = [20_004, 20_006].map(target).to_vec();
    rig.call.resolved(rig.now, token, places);
    rig.drain();
    rig.refusal_from(TARGET, 486);
    rig.refusal_from(LegId(3), 503);
    assert_eq!(rig.notified(CALLEE), [(100, false), (486, true)]);
    assert_eq!(rig.last_bridged(), [20_000, 20_002], "together again");
}

// covers: RFC 3261 §14.1
#[test]
fn a_peer_that_offers_while_it_is_asked_to_move_is_answered_first_and_asked_again() {
    let (_, mut second) = consulting(CALLEE);
    second.call.move_to(NOW, CALLEE, 40_000);
    second.drain();
    second.log.clear();
    // The user agent has heard 491 and waits to try again, when the peer's own offer comes.
    let mut peer = phone(5_000);
    let offer = peer.offer().unwrap();
    let offered = Event::Offered {
        session: SESSION(),
        body: Some(offer),
        fork: 0,
    };
    second.sip(CALLEE, offered);
    let gave_up = Event::OfferAnswered {
        session: SESSION(),
        result: Err(491),
    };
    second.sip(CALLEE, gave_up);
    let text = |body: &Bytes| String::from_utf8(body.to_vec()).unwrap();
    let said: Vec<_> = second.said(CALLEE);
    let [
        SipCommand::AnswerOffer(Some(answer)),
        SipCommand::Reoffer(again),
    ] = said.as_slice()
    else {
        panic!("{said:?}")
    };
    assert!(text(answer).contains("m=audio 20002 "), "it stays here");
    assert!(text(again).contains("m=audio 40000 "), "and is asked anew");
    peer.take_answer(answer).unwrap();
    let answer = peer.answer(again).unwrap();
    let agreed = Event::OfferAnswered {
        session: SESSION(),
        result: Ok(Some(answer)),
    };
    second.sip(CALLEE, agreed);
    let ready = second.log.iter().any(|output| {
        matches!(
            output,
            Output::Moved {
                leg: CALLEE,
                ready: true
            }
        )
    });
    assert!(ready, "the other call may have it");
}
