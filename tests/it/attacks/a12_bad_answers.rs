//! A12: answers that cannot be used, in early dialogs and too late (CVE-2021-21375, CVE-2021-26906):
//! the leg ends with ACK and BYE, and nothing is left.

use super::target::*;
use sip::message::Message;

/// A description that answers none of our codecs, and one that is none.
fn bad() -> [String; 2] {
    [sdp(udp(CARRIER), 99), "v=0\r\nnonsense\r\n".to_owned()]
}

fn contact() -> String {
    format!("Contact: <sip:{CARRIER}>\r\n")
}

/// A call out: the caller's words and the INVITE to the carrier.
fn out(server: &mut Server) -> (Words, Message) {
    let (words, said) = server.call(OUT);
    let invite = requests(&said, "INVITE").remove(0).1;
    (words, invite)
}

/// Answers our BYE and whatever else waits, and looks at what is left.
fn settle(server: &mut Server, words: &Words, said: Vec<(sip::transport::Flow, Message)>) {
    let mut rest = said;
    for _ in 0..12 {
        for (flow, message) in std::mem::take(&mut rest) {
            match message.method_str() {
                Some("BYE" | "CANCEL") => {
                    rest.extend(server.send(flow, &response(&message, 200, "", "", "")));
                }
                None if message.status().is_some_and(|it| it >= 300)
                    && message.cseq().unwrap().method_str == "INVITE" =>
                {
                    let tag = message.to().unwrap().tag().unwrap_or_default().to_owned();
                    let ack = Words {
                        method: "ACK".to_owned(),
                        tags: (words.tags.0.clone(), tag),
                        body: String::new(),
                        lines: Vec::new(),
                        ..words.clone()
                    };
                    rest.extend(server.send(words.flow, &ack.text()));
                }
                _ => {}
            }
        }
        rest.extend(server.pass(10_000));
    }
    let counts = server.control.sip_counts();
    assert_eq!(
        (counts.transactions, counts.sessions, counts.dialogs),
        (0, 0, 0),
        "{counts:?}"
    );
    assert_eq!(server.control.holds(), (0, 0));
}

#[test]
fn two_bad_early_answers_then_a_bad_200_end_with_ack_and_bye() {
    for body in bad() {
        let mut server = Server::new(Made::default());
        let (words, invite) = out(&mut server);
        let mut said = Vec::new();
        for status in [183, 183, 200] {
            let text = response(&invite, status, "t", &contact(), &body);
            said.extend(server.send(udp(CARRIER), &text));
            said.extend(server.pass(50));
        }
        assert_eq!(requests(&said, "ACK").len(), 1, "{said:?}");
        assert_eq!(requests(&said, "BYE").len(), 1, "{said:?}");
        settle(&mut server, &words, said);
    }
}

#[test]
fn a_good_answer_after_two_bad_early_ones_stands() {
    // The control: the same flow with a good 200 is a call, so the bad one was what ended it.
    let mut server = Server::new(Made::default());
    let (_, invite) = out(&mut server);
    let mut said = Vec::new();
    for body in [&sdp(udp(CARRIER), 8), &sdp(udp(CARRIER), 8)] {
        let text = response(&invite, 183, "t", &contact(), body);
        said.extend(server.send(udp(CARRIER), &text));
    }
    let text = response(&invite, 200, "t", &contact(), &sdp(udp(CARRIER), 8));
    said.extend(server.send(udp(CARRIER), &text));
    said.extend(server.pass(50));
    assert_eq!(requests(&said, "BYE").len(), 0, "{said:?}");
    assert_eq!(server.control.holds().0, 1);
}

#[test]
fn a_200_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let mut server = Server::new(Made::default());
    let (words, invite) = out(&mut server);
    server.send(udp(CARRIER), &response(&invite, 180, "t", &contact(), ""));
    let cancel = Words {
        method: "CANCEL".to_owned(),
        body: String::new(),
        lines: Vec::new(),
        ..words.clone()
    };
    let mut said = server.send(words.flow, &cancel.text());
    said.extend(server.pass(50));
    assert_eq!(requests(&said, "CANCEL").len(), 1, "{said:?}");
    let ok = response(&invite, 200, "t", &contact(), &sdp(udp(CARRIER), 8));
    let crossed = server.send(udp(CARRIER), &ok);
    assert_eq!(requests(&crossed, "ACK").len(), 1, "{crossed:?}");
    assert_eq!(requests(&crossed, "BYE").len(), 1, "{crossed:?}");
    said.extend(crossed);
    settle(&mut server, &words, said);
}

#[test]
fn of_forked_200s_one_stands_and_each_other_gets_ack_and_bye() {
    let mut server = Server::new(Made::default());
    let (words, invite) = out(&mut server);
    let mut said = Vec::new();
    for tag in ["t1", "t2", "t3"] {
        let ok = response(&invite, 200, tag, &contact(), &sdp(udp(CARRIER), 8));
        said.extend(server.send(udp(CARRIER), &ok));
    }
    said.extend(server.pass(50));
    assert_eq!(requests(&said, "ACK").len(), 3, "{said:?}");
    let byes = requests(&said, "BYE");
    assert_eq!(byes.len(), 2, "{said:?}");
    for (_, bye) in &byes {
        assert_ne!(bye.to().unwrap().tag(), Some("t1"));
    }
    assert_eq!(server.control.holds().0, 1);
    server
        .control
        .hang_up_all(server.now, tandem::call::Cause::Normal);
    said.extend(server.pass(10));
    settle(&mut server, &words, said);
}
