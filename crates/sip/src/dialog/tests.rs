use super::*;
use crate::transport::ListenerId;
use bytes::Bytes;
use clock::{Duration, Now};

const MINUTE: Duration = Duration::from_secs(60);

fn message(first: &str, headers: &str) -> Message {
    let text = format!(
        "{first}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@x>;tag=a\r\n\
         To: <sip:b@y>;tag=b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
    );
    Message::parse(Bytes::from(text)).unwrap()
}

fn invite(headers: &str) -> Message {
    message("INVITE sip:b@y SIP/2.0", headers)
}

fn flow(remote: &str) -> Flow {
    let remote = remote.parse().unwrap();
    Flow::udp(ListenerId(0), remote)
}

// covers: RFC 3261 §12.2.1.1, RFC 3261 §8.1.2
#[test]
fn the_next_hop_is_the_route_else_the_target_unless_it_cannot_be_reached() {
    let table = [
        // The Contact names an address: there.
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@198.51.100.9:5080>\r\n",
            "198.51.100.9:5080",
        ),
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@198.51.100.9>\r\n",
            "198.51.100.9:5060",
        ),
        // A route comes first.
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@198.51.100.9>\r\nRecord-Route: <sip:198.51.100.8:5062;lr>\r\n",
            "198.51.100.8:5062",
        ),
        // A name, another transport, and a private address seen from outside: the flow.
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@phone.example>\r\n",
            "198.51.100.7:5070",
        ),
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@198.51.100.9;transport=tcp>\r\n",
            "198.51.100.7:5070",
        ),
        (
            "198.51.100.7:5070",
            "Contact: <sip:a@192.168.1.2>\r\n",
            "198.51.100.7:5070",
        ),
        (
            "10.0.0.9:5070",
            "Contact: <sip:a@192.168.1.2>\r\n",
            "192.168.1.2:5060",
        ),
    ];
    for (remote, headers, wanted) in table {
        let response = message("SIP/2.0 200 OK", headers);
        let dialog = Dialog::of_caller(&response, flow(remote), "sip:b@y").unwrap();
        assert_eq!(
            dialog.next_hop().remote,
            wanted.parse().unwrap(),
            "{headers}"
        );
    }
    // The Via says 192.0.2.1 and it came from elsewhere: a NAT, whatever the Contact says.
    let natted = invite("Contact: <sip:a@192.0.2.1>\r\n");
    let dialog = Dialog::of_callee(&natted, flow("198.51.100.7:5070"), "t").unwrap();
    assert_eq!(
        dialog.next_hop().remote,
        "198.51.100.7:5070".parse().unwrap()
    );
}

// covers: RFC 4028 §9
#[test]
fn the_callee_answers_each_combination_of_the_callers_wishes() {
    let table = [
        ("", (1800, Refresher::Us, false)),
        ("Supported: timer\r\n", (1800, Refresher::Us, true)),
        (
            "Supported: timer\r\nSession-Expires: 600\r\n",
            (600, Refresher::Peer, true),
        ),
        (
            "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n",
            (600, Refresher::Us, true),
        ),
        (
            "Supported: timer\r\nx: 600;refresher=uac\r\n",
            (600, Refresher::Peer, true),
        ),
        ("Session-Expires: 60\r\n", (60, Refresher::Us, false)),
        (
            "Supported: timer\r\nSession-Expires: 7200\r\n",
            (1800, Refresher::Peer, true),
        ),
        (
            "Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600\r\n",
            (3600, Refresher::Peer, true),
        ),
    ];
    for (headers, (secs, refresher, peer_supports)) in table {
        let agreed = agree_as_callee(&invite(headers), &policy(TimerUse::Ask));
        let interval = Duration::from_secs(secs);
        assert_eq!(
            agreed,
            Ok(Some(Agreement {
                interval,
                refresher,
                peer_supports
            })),
            "{headers}"
        );
    }
    let brief = invite("Supported: timer\r\nSession-Expires: 89\r\n");
    assert_eq!(
        agree_as_callee(&brief, &policy(TimerUse::Ask)),
        Err(TimerRefusal::TooBrief)
    );
}

fn policy(how: TimerUse) -> TimerPolicy {
    TimerPolicy {
        how,
        expires: 30 * MINUTE,
        least: Duration::from_secs(90),
    }
}

// covers: RFC 4028 §9, RFC 3261 §8.2.2.3, RFC 3261 §21.4.16
#[test]
fn the_callees_policy_decides_whether_there_is_a_timer_and_who_is_refused() {
    use TimerRefusal::{Missing, TooBrief, Unsupported};
    let table = [
        // What the INVITE says; refuse, accept, ask, require.
        ("", [Ok(None), Ok(None), Ok(Some(1_800)), Err(Missing)]),
        (
            "Supported: timer\r\n",
            [Ok(None), Ok(None), Ok(Some(1_800)), Ok(Some(1_800))],
        ),
        (
            "Supported: timer\r\nSession-Expires: 600\r\n",
            [Ok(None), Ok(Some(600)), Ok(Some(600)), Ok(Some(600))],
        ),
        (
            "Require: timer\r\nSupported: timer\r\nSession-Expires: 600\r\n",
            [
                Err(Unsupported),
                Ok(Some(600)),
                Ok(Some(600)),
                Ok(Some(600)),
            ],
        ),
        (
            "Session-Expires: 600\r\n",
            [Ok(None), Ok(Some(600)), Ok(Some(600)), Err(Missing)],
        ),
        (
            "Supported: timer\r\nSession-Expires: 60\r\n",
            [Ok(None), Err(TooBrief), Err(TooBrief), Err(TooBrief)],
        ),
    ];
    let uses = [
        TimerUse::Refuse,
        TimerUse::Accept,
        TimerUse::Ask,
        TimerUse::Require,
    ];
    for (headers, wanted) in table {
        for (how, want) in uses.into_iter().zip(wanted) {
            let agreed = agree_as_callee(&invite(headers), &policy(how));
            let secs = agreed.map(|it| it.map(|it| it.interval.as_secs()));
            assert_eq!(secs, want, "{how:?}: {headers}");
        }
    }
}

// covers: RFC 4028 §7.2, RFC 4028 §10
#[test]
fn the_caller_runs_the_timer_that_the_2xx_names() {
    let ok = |headers: &str| {
        agree_as_caller(
            &message("SIP/2.0 200 OK", headers),
            &policy(TimerUse::Accept),
        )
    };
    assert_eq!(ok(""), None);
    let refused = message("SIP/2.0 200 OK", "Session-Expires: 600;refresher=uac\r\n");
    assert_eq!(agree_as_caller(&refused, &policy(TimerUse::Refuse)), None);
    let ours = SessionTimer::start(Now::ZERO, ok("Session-Expires: 600;refresher=uac\r\n"));
    assert_eq!(ours.deadline(), Some(Now::ZERO + 5 * MINUTE));
    assert_eq!(ours.request_value(MINUTE), "600;refresher=uac");
    let theirs = SessionTimer::start(Now::ZERO, ok("Session-Expires: 600;refresher=uas\r\n"));
    assert_eq!(
        theirs.deadline(),
        Some(Now::ZERO + Duration::from_secs(568))
    );
    assert_eq!(theirs.request_value(MINUTE), "600;refresher=uas");
}
