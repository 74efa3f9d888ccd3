//! The race conditions of RFC 5407 as a table. Each runs over the simulated link, message by message, and over
//! real sockets that lose one datagram in five, where only the end is certain.

use sip::message::Method;
use sip::sdp::Direction;

use crate::flows::{
    A, Again, Await, B, Flow, Hear, Lose, Lossy, On, Pass, With, check, check_lossy,
};
use crate::flows::{Accept, Answer, Ask, Call, CallLate, Early, End, Offer, Ring, Word};

const BOTH: Direction = Direction::SendRecv;
const EARLY: With = With {
    answers: true,
    ..With::RELIABLE
};

const MORATORIUM: [Flow; 6] = [
    Flow {
        name: "3.1.1 Callee Receives Initial INVITE Retransmission (Preparative State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            // The INVITE was sent again before anything arrived: the 200 answers both.
            Again(A, "INVITE+"),
            Await(B, "confirmed"),
            Hear(true, true),
            Pass(500),
            On(A, End(0)),
        ],
        a: &["INVITE+", "ACK", "BYE"],
        b: &["100 INVITE", "200 INVITE+", "200 BYE"],
        end: ["ended Us", "ended Peer"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.1.2 Callee Receives CANCEL (Early State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Pass(50),
            On(B, Accept),
            On(A, End(0)),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "CANCEL", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "180 INVITE",
            "200 INVITE+",
            "200 CANCEL",
            "200 BYE",
        ],
        end: ["ended Us", "ended Peer|ended Cancelled"],
        with: With::PLAIN,
    },
    Flow {
        // The caller's BYE overtakes its ACK.
        name: "3.1.3 Callee Receives BYE (Early State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Lose(A, 1),
            Await(A, "answered"),
            Hear(true, true),
            On(A, End(0)),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "ACK", "BYE"],
        b: &["100 INVITE", "200 INVITE+", "200 BYE"],
        end: ["ended Us", "ended Peer"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.1.4 Callee Receives re-INVITE (Established State), Case 1",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Lose(A, 1),
            Await(A, "answered"),
            // Its ACK is lost, so the callee still awaits it.
            On(A, Offer(BOTH)),
            Await(A, "agreed"),
            Pass(1_000),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK", "ACK", "BYE"],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "200 INVITE+",
            "200 INVITE+",
            "200 BYE",
        ],
        end: ["ended Us", "ended Peer"],
        with: With::ANSWERING,
    },
    Flow {
        name: "3.1.5 Callee Receives re-INVITE (Established State), Case 2",
        steps: &[
            On(A, CallLate),
            Await(B, "invited"),
            On(B, Accept),
            Await(A, "answered"),
            // The ACK carries the answer and is lost: the callee has an offer open, hence 491.
            Lose(A, 1),
            On(A, Word),
            On(A, Offer(BOTH)),
            Await(B, "confirmed"),
            Await(A, "agreed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE", "ACK+", "INVITE+", "ACK", "ACK+", "INVITE+", "ACK", "BYE",
        ],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "491 INVITE",
            "200 INVITE+",
            "200 INVITE+",
            "200 BYE",
        ],
        end: ["ended Us", "ended Peer"],
        with: With::ANSWERING,
    },
    Flow {
        name: "3.1.6 Callee Receives BYE (Established State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Lose(A, 1),
            Await(A, "answered"),
            Pass(600),
            Hear(true, true),
            On(A, End(0)),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "ACK", "ACK", "BYE"],
        b: &["100 INVITE", "200 INVITE+", "200 INVITE+", "200 BYE"],
        end: ["ended Us", "ended Peer"],
        with: With::PLAIN,
    },
];

const MORTAL: [Flow; 4] = [
    Flow {
        name: "3.2.1 UA Receives BYE (Established State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
            On(B, End(0)),
        ],
        a: &["INVITE+", "ACK", "BYE", "200 BYE"],
        b: &["100 INVITE", "200 INVITE+", "BYE", "200 BYE"],
        end: ["ended Us", "ended Us"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.2.2 UA Receives re-INVITE (Established State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
            On(B, Offer(BOTH)),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "ACK", "BYE", "481 INVITE"],
        b: &["100 INVITE", "200 INVITE+", "INVITE+", "200 BYE", "ACK"],
        end: ["ended Us", "ended Peer|ended FlowFailed"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.2.3 UA Receives 200 OK for re-INVITE (Established State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, Offer(BOTH)),
            Await(B, "offered"),
            On(B, Answer),
            On(A, End(0)),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "BYE", "ACK"],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "100 INVITE",
            "200 INVITE+",
            "200 BYE",
        ],
        end: ["ended Us", "ended Peer"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.2.4 Callee Receives ACK (Moratorium State)",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            // The callee may not say BYE before the ACK came.
            On(B, End(0)),
            Await(A, "ended"),
        ],
        a: &["INVITE+", "ACK", "200 BYE"],
        b: &["100 INVITE", "200 INVITE+", "BYE"],
        end: ["ended Peer", "ended Us"],
        with: With::PLAIN,
    },
];

const OTHERS: [Flow; 5] = [
    Flow {
        name: "3.3.1 Re-INVITE Crossover",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, Offer(BOTH)),
            On(B, Offer(BOTH)),
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
        end: ["ended Us", "ended Peer"],
        with: With::ANSWERING,
    },
    Flow {
        // In the early dialog, where an offer is an UPDATE.
        name: "3.3.2 UPDATE and re-INVITE Crossover",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Early(183)),
            Await(A, "progressed 183"),
            Pass(100),
            Hear(true, true),
            On(A, Offer(BOTH)),
            On(B, Offer(BOTH)),
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
        end: ["ended Us", "ended Peer"],
        with: EARLY,
    },
    Flow {
        name: "3.3.3 Receiving REFER (Established State) While in the Mortal State",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
            On(
                B,
                Ask(
                    Method::Refer,
                    "Refer-To",
                    "<sip:carol@cleveland.example.org>",
                ),
            ),
            Await(B, "ended"),
        ],
        a: &["INVITE+", "ACK", "BYE", "481 REFER"],
        b: &["100 INVITE", "200 INVITE+", "REFER", "200 BYE"],
        end: ["ended Us", "told 481|ended"],
        with: With::PLAIN,
    },
    Flow {
        name: "Appendix B: BYE Request Overlapped with a re-INVITE",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, Offer(BOTH)),
            On(B, End(0)),
            Await(A, "ended"),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "200 BYE", "ACK"],
        b: &["100 INVITE", "200 INVITE+", "BYE", "481 INVITE"],
        end: ["ended Peer|ended FlowFailed", "ended Us"],
        with: With::PLAIN,
    },
    Flow {
        name: "Appendix C: a CANCEL that crosses a refusal",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Pass(50),
            On(B, End(486)),
            On(A, End(0)),
            Pass(200),
        ],
        a: &["INVITE+", "CANCEL", "ACK"],
        b: &["100 INVITE", "180 INVITE", "486 INVITE", "200 CANCEL"],
        end: ["ended Us|refused", "ended Us"],
        with: With::PLAIN,
    },
];

/// One datagram in five is lost, some come twice or late.
const BAD: Lossy = Lossy {
    loss: 200,
    duplicate: 50,
    reorder: 50,
};

/// How many seeds each flow runs over sockets, all at once: most of their time they wait.
const SEEDS: u64 = 3;

/// Plays flows over sockets with every seed, each on a thread of its own.
pub(crate) fn all_lossy(flows: &[Flow]) {
    let (mut sent, mut lost) = (0, 0);
    std::thread::scope(|scope| {
        let runs = flows
            .iter()
            .flat_map(|flow| (1..=SEEDS).map(move |seed| (flow, seed)));
        let runs: Vec<_> = runs
            .map(|(flow, seed)| scope.spawn(move || check_lossy(flow, seed, BAD)))
            .collect();
        for run in runs {
            let counts = run.join().unwrap();
            sent += counts.0;
            lost += counts.1;
        }
    });
    let percent = lost * 100 / sent;
    println!(
        "{} flows, {SEEDS} seeds: {sent} datagrams, {lost} lost",
        flows.len()
    );
    assert!(
        (12..=28).contains(&percent),
        "the network was not that bad: {percent} %"
    );
}

// covers: RFC 5407 §3.1.1, §3.1.2, §3.1.3, §3.1.4, §3.1.5, §3.1.6
#[test]
fn what_reaches_a_callee_whose_200_has_no_ack_yet() {
    MORATORIUM.iter().for_each(check);
}

// covers: RFC 5407 §3.2.1, §3.2.2, §3.2.3, §3.2.4
#[test]
fn what_reaches_an_end_that_has_hung_up() {
    MORTAL.iter().for_each(check);
}

// covers: RFC 5407 §3.3.1, §3.3.2, §3.3.3, §B, §C
#[test]
fn what_crosses_in_a_call_that_stands() {
    OTHERS.iter().for_each(check);
}

// covers: RFC 5407 §3.1, §3.2, §3.3
#[test]
fn the_races_end_the_same_over_sockets_that_lose_one_datagram_in_five() {
    all_lossy(&[&MORATORIUM[..], &MORTAL[..], &OTHERS[..]].concat());
}
