//! Many calls over bad links: whatever the link does, the invariants hold.

use super::pair::{Link, Pair, Side, body};
use crate::transport::Transport;
use crate::ua::*;
use clock::Duration;
use std::collections::HashMap;

/// What an end was told of one session.
#[derive(Default)]
struct Account {
    invited: usize,
    answered: usize,
    refused: usize,
    confirmed: usize,
    ended: Vec<EndedBy>,
    after_end: usize,
}

fn accounts(pair: &Pair, side: Side) -> HashMap<SessionId, Account> {
    let mut all: HashMap<SessionId, Account> = HashMap::new();
    for (_, _, event) in pair.events.iter().filter(|(_, at, _)| *at == side) {
        let session = match event {
            Event::Invited { session, .. }
            | Event::Progressed { session, .. }
            | Event::Answered { session, .. }
            | Event::Refused { session, .. }
            | Event::AnswerHeld { session }
            | Event::AnswerSent { session }
            | Event::Confirmed { session, .. }
            | Event::Offered { session, .. }
            | Event::OfferAnswered { session, .. }
            | Event::InDialog { session, .. }
            | Event::InDialogResponse { session, .. }
            | Event::Ended { session, .. } => *session,
            Event::Requested { .. } | Event::TurnedAway { .. } | Event::Response { .. } => continue,
        };
        let account = all.entry(session).or_default();
        account.after_end += usize::from(!account.ended.is_empty() || account.refused > 0);
        match event {
            Event::Invited { .. } => account.invited += 1,
            Event::Answered { .. } => account.answered += 1,
            Event::Refused { .. } => account.refused += 1,
            Event::Confirmed { .. } => account.confirmed += 1,
            Event::Ended { by, .. } => account.ended.push(*by),
            _ => {}
        }
    }
    all
}

/// Both ends do at random what users do; every call is ended in the end.
fn behave(pair: &mut Pair, side: Side, event: &Event) {
    let dice = pair.below(10);
    match event {
        Event::Invited { session, .. } => {
            let session = *session;
            pair.act(side, |ua, now| match dice {
                0..=1 => ua.end(
                    now,
                    session,
                    Ending {
                        status: 486,
                        ..Ending::default()
                    },
                ),
                2..=5 => {
                    ua.progress(now, session, 180, None);
                    ua.accept(now, session, body("answer"), &[]);
                }
                6..=8 => ua.progress(now, session, 183, body("early")),
                _ => {
                    ua.progress(now, session, 180, None);
                    ua.progress(now, session, 183, body("early"));
                    ua.reinvite(now, session, body("ahead"));
                    ua.accept(now, session, body("answer"), &[]);
                }
            });
        }
        Event::Progressed {
            session,
            needs_answer,
            ..
        } => {
            let (session, waits) = (*session, *needs_answer);
            pair.act(side, |ua, now| {
                if waits {
                    ua.acknowledge(now, session, body("early word"));
                }
                match dice {
                    0..=3 => ua.reinvite(now, session, body("earlier")),
                    4 => ua.end(now, session, Ending::default()),
                    _ => {}
                }
            });
        }
        Event::OfferAnswered { session, .. } => {
            let session = *session;
            pair.act(side, |ua, now| match dice {
                0..=3 => ua.accept(now, session, body("after"), &[]),
                4 => ua.reinvite(now, session, body("once more")),
                _ => {}
            });
        }
        Event::Answered {
            session,
            needs_answer,
            ..
        } => {
            let (session, late) = (*session, *needs_answer);
            pair.act(side, |ua, now| {
                if late {
                    ua.acknowledge(now, session, body("late"));
                }
                match dice {
                    0..=2 => ua.reinvite(now, session, body("again")),
                    3..=4 => ua.end(now, session, Ending::default()),
                    _ => {}
                }
            });
        }
        Event::Confirmed { session, .. } => {
            let session = *session;
            pair.act(side, |ua, now| match dice {
                0..=3 => ua.reinvite(now, session, body("hold")),
                4..=5 => ua.end(now, session, Ending::default()),
                _ => {}
            });
        }
        Event::Offered { session, .. } => {
            let session = *session;
            pair.act(side, |ua, now| match dice {
                0..=4 => ua.answer_offer(now, session, body("yes")),
                5..=7 => {
                    ua.accept(now, session, body("while open"), &[]);
                    ua.answer_offer(now, session, body("yes"));
                }
                _ => ua.refuse_offer(now, session, 488),
            });
        }
        _ => {}
    }
}

fn storm(seed: u64, link: Link) -> Pair {
    let mut pair = Pair::new(seed, link);
    pair.policy = behave;
    pair.reliable = [
        Reliable::No,
        Reliable::Supported,
        Reliable::Required,
        Reliable::ByUser,
    ][(seed % 4) as usize];
    pair.ends[1].config.reliable_progress = !seed.is_multiple_of(3);
    let mut calls = Vec::new();
    for _ in 0..8 {
        let late_offer = pair.chance(25);
        calls.push(pair.call(if late_offer { None } else { Some("offer") }));
        let pause = pair.below(3000);
        pair.run(Duration::from_millis(pause));
        if pair.chance(25) {
            let session = calls[calls.len() - 1];
            pair.act(Side::A, |ua, now| ua.end(now, session, Ending::default()));
        }
    }
    pair.run(Duration::from_secs(60));
    for side in [Side::A, Side::B] {
        for id in pair.ua(side).sessions.names() {
            let session = SessionId(id);
            pair.act(side, |ua, now| ua.end(now, session, Ending::default()));
        }
    }
    pair.rest();
    for session in &calls {
        let account = &accounts(&pair, Side::A)[session];
        let finals = account.answered + account.refused;
        let ended = account.ended.len();
        // Exactly one final: an answer that ends once, a refusal, or our own end before either.
        let good = (finals, ended, account.refused) == (1, 1, 0)
            || (finals, ended, account.refused) == (1, 0, 1)
            || (finals, ended) == (0, 1);
        assert!(
            good && account.after_end == 0,
            "seed {seed}: {:?}",
            pair.told(Side::A)
        );
    }
    for account in accounts(&pair, Side::B).values() {
        let good = account.invited == 1 && account.ended.len() == 1 && account.after_end == 0;
        assert!(good, "seed {seed}: {:?}", pair.told(Side::B));
    }
    check_acks(&pair, seed);
    pair.assert_empty();
    pair
}

/// An answer is confirmed once at most, and exactly once unless the session ended before that.
fn check_acks(pair: &Pair, seed: u64) {
    for account in accounts(pair, Side::B).values() {
        // A late offer in a re-INVITE would confirm again; no end makes one here.
        assert!(account.confirmed <= 1, "seed {seed}: confirmed twice");
    }
    let caller_answers: usize = accounts(pair, Side::A).values().map(|a| a.answered).sum();
    let confirmed: usize = accounts(pair, Side::B).values().map(|a| a.confirmed).sum();
    let acks = pair.count(Side::A, "ACK");
    assert!(acks >= caller_answers && acks >= confirmed, "seed {seed}");
}

fn link(seed: u64) -> Link {
    let transport = if seed.is_multiple_of(7) {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    let lossy = transport == Transport::Udp;
    Link {
        transport,
        delay_ms: 1 + seed % 40,
        jitter_ms: if lossy { (seed * 13) % 300 } else { 0 },
        loss_percent: if lossy { (seed * 7) % 51 } else { 0 },
        duplicate_percent: if lossy { (seed * 3) % 20 } else { 0 },
    }
}

// covers: RFC 3261 §17.1.1.2, RFC 3261 §17.1.2.2, RFC 3261 §17.2.1, RFC 3261 §17.2.2, RFC 6026 §7.1
// covers: RFC 3262 §3, RFC 3262 §4, RFC 3311 §5.1, RFC 3311 §5.2
#[test]
fn each_invite_has_one_end_and_nothing_outlives_its_call_whatever_the_link_does() {
    for seed in 1..=300 {
        storm(seed, link(seed));
    }
}

#[test]
fn a_clean_link_confirms_every_answer() {
    for seed in 1..=60 {
        let pair = storm(seed, Link::CLEAN);
        let answered: usize = accounts(&pair, Side::A).values().map(|a| a.answered).sum();
        let confirmed: usize = accounts(&pair, Side::B).values().map(|a| a.confirmed).sum();
        let unanswered = accounts(&pair, Side::B)
            .values()
            .any(|a| a.ended == [EndedBy::NoAck]);
        assert!(confirmed >= answered && !unanswered, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in [3, 14, 159] {
        let sent = |pair: &Pair| -> Vec<_> {
            pair.sent
                .iter()
                .map(|(at, side, m)| (*at, *side as u8, m.bytes().clone()))
                .collect()
        };
        assert_eq!(
            sent(&storm(seed, link(seed))),
            sent(&storm(seed, link(seed)))
        );
    }
}
