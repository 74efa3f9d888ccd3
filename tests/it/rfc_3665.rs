//! The call flows of RFC 3665 as a table: registrations, sessions that succeed, sessions that do not.

use sip::message::Method;
use sip::sdp::Direction;

use crate::flows::{A, Again, Await, B, Do, Flow, Hear, Lose, On, Pass, With, check};
use crate::flows::{
    Accept, Answer, Ask, AskOffer, Call, CallLate, End, Offer, Outside, Reply, Ring, Word,
};

const REGISTER: Do = Outside(
    Method::Register,
    "Contact",
    "<sip:bob@client.biloxi.example.com>",
);
const CHALLENGE: Do = Reply(
    401,
    "WWW-Authenticate",
    "Digest realm=\"atlanta\", nonce=\"1\", algorithm=MD5, qop=\"auth\"",
);
const BOUND: &str = "<sip:bob@client.biloxi.example.com>;expires=3600";
const HOP: With = With {
    proxies: &[false],
    ..With::PLAIN
};
const HOPS: With = With {
    proxies: &[true, false],
    ..With::PLAIN
};
const SUCCESS: [&str; 2] = ["ended Us", "ended Peer"];

const REGISTRATION: [Flow; 5] = [
    Flow {
        name: "2.1 Successful New Registration",
        steps: &[
            On(A, REGISTER),
            Await(B, "requested REGISTER"),
            On(B, CHALLENGE),
            Await(B, "requested REGISTER"),
            On(B, Reply(200, "Contact", BOUND)),
            Await(A, "response 200"),
        ],
        a: &["REGISTER", "REGISTER"],
        b: &["401 REGISTER", "200 REGISTER"],
        end: ["response 200", "requested"],
        with: With::PLAIN,
    },
    Flow {
        name: "2.2 Update of Contact List",
        steps: &[
            On(
                A,
                Outside(Method::Register, "Contact", "mailto:bob@biloxi.example.com"),
            ),
            Await(B, "requested REGISTER"),
            On(
                B,
                Reply(
                    200,
                    "Contact",
                    "<sip:bob@client.biloxi.example.com>;expires=3600, <mailto:bob@biloxi.example.com>;expires=4294967295",
                ),
            ),
            Await(A, "response 200"),
        ],
        a: &["REGISTER"],
        b: &["200 REGISTER"],
        end: ["response 200", "requested"],
        with: With::PLAIN,
    },
    Flow {
        name: "2.3 Request for Current Contact List",
        steps: &[
            On(A, Outside(Method::Register, "", "")),
            Await(B, "requested REGISTER"),
            On(B, Reply(200, "Contact", BOUND)),
            Await(A, "response 200"),
        ],
        a: &["REGISTER"],
        b: &["200 REGISTER"],
        end: ["response 200", "requested"],
        with: With::PLAIN,
    },
    Flow {
        name: "2.4 Cancellation of Registration",
        steps: &[
            On(A, Outside(Method::Register, "Contact", "*")),
            Await(B, "requested REGISTER"),
            On(B, Reply(200, "", "")),
            Await(A, "response 200"),
        ],
        a: &["REGISTER"],
        b: &["200 REGISTER"],
        end: ["response 200", "requested"],
        with: With::PLAIN,
    },
    Flow {
        name: "2.5 Unsuccessful Registration",
        steps: &[
            On(A, REGISTER),
            Await(B, "requested REGISTER"),
            On(B, CHALLENGE),
            Await(B, "requested REGISTER"),
            On(B, CHALLENGE),
            Await(B, "requested REGISTER"),
            On(B, CHALLENGE),
            Await(A, "response 401"),
        ],
        a: &["REGISTER", "REGISTER", "REGISTER"],
        b: &["401 REGISTER", "401 REGISTER", "401 REGISTER"],
        end: ["response 401", "requested"],
        with: With::PLAIN,
    },
];

const SESSION: [Flow; 7] = [
    Flow {
        name: "3.1 Successful Session Establishment",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Await(A, "progressed 180"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, End(0)),
        ],
        a: &["INVITE+", "ACK", "200 BYE"],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "BYE"],
        end: ["ended Peer", "ended Us"],
        with: With::PLAIN,
    },
    Flow {
        name: "3.2 Session Establishment Through Two Proxies",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Await(A, "progressed 180"),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, End(0)),
        ],
        // The first proxy asks: F1 to F4.
        a: &["INVITE+", "ACK", "INVITE+", "ACK", "200 BYE"],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "BYE"],
        end: ["ended Peer", "ended Us"],
        with: HOPS,
    },
    Flow {
        name: "3.3 Session with Multiple Proxy Authentication",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK", "INVITE+", "ACK", "BYE"],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "200 BYE"],
        end: SUCCESS,
        with: With {
            proxies: &[true, true],
            ..With::PLAIN
        },
    },
    Flow {
        name: "3.4 Successful Session with Proxy Failure",
        steps: &[
            // The first proxy is gone: seven INVITEs and silence. The user tries the other one.
            Lose(A, 7),
            On(A, Call),
            Await(A, "refused 408"),
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, End(0)),
        ],
        a: &[
            "INVITE+", "INVITE+", "INVITE+", "INVITE+", "INVITE+", "INVITE+", "INVITE+", "INVITE+",
            "ACK", "BYE",
        ],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "200 BYE"],
        end: SUCCESS,
        with: HOP,
    },
    Flow {
        name: "3.5 Session Through a SIP ALG",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            On(B, Accept),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, End(0)),
        ],
        a: &["INVITE+", "ACK", "200 BYE"],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "BYE"],
        end: ["ended Peer", "ended Us"],
        with: HOP,
    },
    Flow {
        name: "3.6 Session via Redirect and Proxy Servers with SDP in ACK",
        steps: &[
            On(A, CallLate),
            Await(B, "invited"),
            On(B, Ring(180)),
            On(B, Accept),
            Await(A, "answered"),
            On(A, Word),
            Await(B, "confirmed"),
            Hear(true, true),
            On(B, End(0)),
        ],
        a: &["INVITE", "ACK", "INVITE", "ACK+", "200 BYE"],
        b: &["100 INVITE", "180 INVITE", "200 INVITE+", "BYE"],
        end: ["ended Peer", "ended Us"],
        with: HOPS,
    },
    Flow {
        name: "3.7 Session with re-INVITE",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Accept),
            Await(B, "confirmed"),
            On(B, Offer(Direction::SendOnly)),
            Await(A, "offered"),
            On(A, Answer),
            Await(B, "agreed"),
            Hear(false, true),
            On(B, Offer(Direction::SendRecv)),
            Await(A, "offered"),
            On(A, Answer),
            Await(B, "agreed"),
            Hear(true, true),
            // And once more without an offer of its own.
            On(A, AskOffer),
            Await(B, "offered"),
            On(B, Answer),
            Await(A, "agreed"),
            On(A, Word),
            Await(B, "confirmed"),
            Hear(true, true),
            On(A, Ask(Method::Options, "", "")),
            Await(A, "told 200"),
            Again(B, "200 INVITE+"),
            Pass(100),
            On(B, End(0)),
        ],
        a: &[
            "INVITE+",
            "ACK",
            "100 INVITE",
            "200 INVITE+",
            "100 INVITE",
            "200 INVITE+",
            "INVITE",
            "ACK+",
            "OPTIONS",
            "ACK+",
            "200 BYE",
        ],
        b: &[
            "100 INVITE",
            "200 INVITE+",
            "INVITE+",
            "ACK",
            "INVITE+",
            "ACK",
            "100 INVITE",
            "200 INVITE+",
            "200 OPTIONS",
            "BYE",
        ],
        end: ["ended Peer", "ended Us"],
        with: With::PLAIN,
    },
];

const FAILURE: [Flow; 4] = [
    Flow {
        name: "3.8 Unsuccessful No Answer",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Await(A, "progressed 180"),
            On(A, End(0)),
            Await(B, "ended Cancelled"),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "CANCEL", "ACK"],
        b: &["100 INVITE", "180 INVITE", "200 CANCEL", "487 INVITE"],
        end: ["ended Us", "ended Cancelled"],
        with: HOPS,
    },
    Flow {
        name: "3.9 Unsuccessful Busy",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, End(486)),
            Await(A, "refused 486"),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK"],
        b: &["100 INVITE", "486 INVITE"],
        end: ["refused 486", "ended Us"],
        with: HOPS,
    },
    Flow {
        name: "3.10 Unsuccessful No Response from User Agent",
        steps: &[
            // B is told of the call but nothing of its own arrives, and A's proxy has no state to give up.
            Lose(B, 9),
            On(A, Call),
            Await(A, "refused 408"),
            On(B, End(480)),
        ],
        a: &["INVITE+"; 7],
        b: &[
            "100 INVITE",
            "100 INVITE",
            "100 INVITE",
            "100 INVITE",
            "100 INVITE",
            "100 INVITE",
            "100 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
            "480 INVITE",
        ],
        end: ["refused 408", "ended Us"],
        with: HOP,
    },
    Flow {
        name: "3.11 Unsuccessful Temporarily Unavailable",
        steps: &[
            On(A, Call),
            Await(B, "invited"),
            On(B, Ring(180)),
            Await(A, "progressed 180"),
            On(B, End(480)),
            Await(A, "refused 480"),
        ],
        a: &["INVITE+", "ACK", "INVITE+", "ACK"],
        b: &["100 INVITE", "180 INVITE", "480 INVITE"],
        end: ["refused 480", "ended Us"],
        with: HOPS,
    },
];

// covers: RFC 3665 §2.1, §2.2, §2.3, §2.4, §2.5
#[test]
fn the_registrations_of_rfc_3665() {
    REGISTRATION.iter().for_each(check);
}

// covers: RFC 3665 §3.1, §3.2, §3.3, §3.4, §3.5, §3.6, §3.7
#[test]
fn the_sessions_of_rfc_3665_that_succeed() {
    SESSION.iter().for_each(check);
}

// covers: RFC 3665 §3.8, §3.9, §3.10, §3.11
#[test]
fn the_sessions_of_rfc_3665_that_do_not() {
    FAILURE.iter().for_each(check);
}
