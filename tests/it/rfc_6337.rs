//! The offer/answer patterns of RFC 6337 and its glare table, each over the simulated link; where two offers
//! meet, over lossy sockets as well.

use sip::sdp::Direction;
use sip::ua::Reliable;

use crate::flows::{A, Await, B, Flow, Hear, Lose, On, Pass, With, check};
use crate::flows::{
    Accept, Answer, AskOffer, Call, CallLate, Decline, Early, End, Offer, Ring, Word, WordOffer,
};
use crate::rfc_5407::all_lossy;

const BOTH: Direction = Direction::SendRecv;
const HOLD: Direction = Direction::SendOnly;
const REQUIRED: With = With {
    reliable: Reliable::Required,
    ..With::PLAIN
};
const BY_USER: With = With {
    reliable: Reliable::ByUser,
    ..With::RELIABLE
};
const EARLY: With = With {
    answers: true,
    ..With::RELIABLE
};
const END: [&str; 2] = ["ended Us", "ended Peer"];

const PATTERNS: [Flow; 6] = [
    Flow {
        name: "Pattern 1: INVITE, 2xx",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, Offer(HOLD)),
            Await(B, "offered"),
            On(B, Answer),
            Await(A, "agreed"),
            Hear(true, false),
            On(A, End(0)),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "180 INVITE",
            "200 INVITE+",
            "100 INVITE",
            "200 INVITE+",
            "200 BYE",
        ],
        end: END,
        with: With::PLAIN,
    },
    Flow {
        name: "Pattern 2: 2xx, ACK",
        steps: &[
            On(A, CallLate),
            Await(B, "invited"),
            On(B, Accept),
            Await(A, "answered"),
            On(A, Word),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, AskOffer),
            Await(A, "offered"),
            On(A, Answer),
            Await(B, "agreed"),
            On(B, Word),
            Await(A, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE", "ACK+", "100 INVITE", "200 INVITE+", "BYE"],
        b: &["100 INVITE", "200 INVITE+", "INVITE", "ACK+", "200 BYE"],
        end: END,
        with: With::PLAIN,
    },
    Flow {
        name: "Pattern 3: INVITE, 1xx-rel",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            Pass(50),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "PRACK", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: With::RELIABLE,
    },
    Flow {
        name: "Pattern 4: 1xx-rel, PRACK",
        steps: &[
            On(A, CallLate),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            On(A, Word),
            Await(B, "agreed"),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE", "PRACK+", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: REQUIRED,
    },
    Flow {
        name: "Pattern 5: PRACK, 200 (PRACK)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            On(A, WordOffer),
            Await(B, "offered"),
            On(B, Answer),
            Await(A, "agreed"),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "PRACK+", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK+",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: BY_USER,
    },
    Flow {
        name: "Pattern 6: UPDATE, 2xx (UPDATE)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            Pass(50),
            On(A, Offer(HOLD)),
            Await(B, "offered"),
            On(B, Answer),
            Await(A, "agreed"),
            Hear(true, false),
            On(B, Offer(BOTH)),
            Await(A, "offered"),
            On(A, Answer),
            Await(B, "agreed"),
            On(B, Accept),
            Await(B, "confirmed"),
            On(A, Offer(BOTH)),
            Await(B, "offered"),
            On(B, Answer),
            Await(A, "agreed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE+",
            "PRACK",
            "UPDATE+",
            "200 UPDATE+",
            "ACK",
            "INVITE+",
            "ACK",
            "BYE",
        ],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK",
            "200 UPDATE+",
            "UPDATE+",
            "200 INVITE",
            "100 INVITE",
            "200 INVITE+",
            "200 BYE",
        ],
        end: END,
        with: With::RELIABLE,
    },
];

const REFUSALS: [Flow; 2] = [
    Flow {
        name: "An offer in a re-INVITE is refused, and nothing changes",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            On(A, Offer(HOLD)),
            Await(B, "offered"),
            On(B, Decline(488)),
            Await(A, "disagreed 488"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "100 INVITE",
            "488 INVITE",
            "200 BYE",
        ],
        end: END,
        with: With::PLAIN,
    },
    Flow {
        name: "An offer in an UPDATE is refused, and the call is answered all the same",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            Pass(50),
            On(B, Offer(HOLD)),
            Await(A, "offered"),
            On(A, Decline(488)),
            Await(B, "disagreed 488"),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "PRACK", "488 UPDATE", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK",
            "UPDATE+",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: With::RELIABLE,
    },
];

/// The glare table: what meets what, before and after the answer.
const GLARE: [Flow; 4] = [
    Flow {
        name: "re-INVITE meets re-INVITE",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, Offer(BOTH)),
            On(A, Offer(BOTH)),
            Await(B, "agreed|disagreed"),
            Pass(6_000),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE+",
            "ACK",
            "INVITE+",
            "491 INVITE",
            "ACK",
            "200 INVITE+",
            "BYE",
        ],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "INVITE+",
            "491 INVITE",
            "ACK",
            "INVITE+",
            "ACK",
            "200 BYE",
        ],
        end: END,
        with: With::ANSWERING,
    },
    Flow {
        name: "re-INVITE meets a re-INVITE without an offer",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, AskOffer),
            On(B, Offer(BOTH)),
            Await(B, "agreed|disagreed"),
            Pass(6_000),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE+",
            "ACK",
            "INVITE",
            "491 INVITE",
            "ACK",
            "200 INVITE+",
            "BYE",
        ],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "INVITE+",
            "491 INVITE",
            "ACK",
            "INVITE+",
            "ACK",
            "200 BYE",
        ],
        end: END,
        with: With::ANSWERING,
    },
    Flow {
        name: "UPDATE meets UPDATE before the answer",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            Pass(300),
            Hear(true, true),
            On(B, Offer(BOTH)),
            On(A, Offer(BOTH)),
            Await(B, "agreed|disagreed"),
            Pass(6_000),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE+",
            "PRACK",
            "UPDATE+",
            "491 UPDATE",
            "200 UPDATE+",
            "ACK",
            "BYE",
        ],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "200 PRACK",
            "UPDATE+",
            "491 UPDATE",
            "UPDATE+",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: EARLY,
    },
    Flow {
        // The PRACK is lost, so the caller's UPDATE waits for its 200 and cannot overtake it.
        name: "UPDATE behind a PRACK that is lost",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            Lose(A, 1),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            On(A, Offer(BOTH)),
            Await(A, "agreed"),
            Hear(true, true),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "PRACK", "PRACK", "UPDATE+", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "183 INVITE+",
            "183 INVITE+",
            "200 PRACK",
            "200 UPDATE+",
            "200 INVITE",
            "200 BYE",
        ],
        end: END,
        with: EARLY,
    },
];

// covers: RFC 6337 §2.1, §2.2, §3.1.1, §3.1.2, §3.2
#[test]
fn the_six_patterns_of_offer_and_answer() {
    PATTERNS.iter().for_each(check);
}

// covers: RFC 6337 §2.3
#[test]
fn a_refused_offer_leaves_what_was_agreed() {
    REFUSALS.iter().for_each(check);
}

// covers: RFC 6337 §4.1, §4.2
#[test]
fn offers_that_meet_are_settled_by_who_waits_less() {
    GLARE.iter().for_each(check);
}

// covers: RFC 6337 §4.1, §4.2
#[test]
fn the_patterns_and_the_glare_end_the_same_over_sockets_that_lose_one_datagram_in_five() {
    all_lossy(&[&PATTERNS[..], &REFUSALS[..], &GLARE[..]].concat());
}
