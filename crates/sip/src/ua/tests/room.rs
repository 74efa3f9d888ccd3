//! A full table of transactions: what makes room, what stays, and what copies get of what is gone.

use super::strangers::{drain, flow, statuses, ua};
use crate::message::{Message, Name};
use crate::ua::*;
use clock::{Duration, Now};

/// A user agent with room for so many transactions of each role, and its time.
struct Host {
    ua: UserAgent,
    now: Now,
}

impl Host {
    fn new(transactions: usize) -> Self {
        let mut config = ua().config.clone();
        config.limits.transactions = transactions;
        Self {
            ua: UserAgent::new(config, 9),
            now: Now::ZERO,
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.ua.handle_timeout(self.now);
        drain(&mut self.ua);
    }

    /// Feeds a request of the call named `n`; what was sent, and the session that began.
    fn feed(
        &mut self,
        n: u32,
        method: &str,
        cseq: u32,
        tag: &str,
    ) -> (Vec<Message>, Option<SessionId>) {
        let tag = if tag.is_empty() {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        let branch_of = if method == "ACK" { "a" } else { method };
        let text = format!(
            "{method} sip:bob@10.0.0.2 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch_of}{n}\r\n\
             From: <sip:alice@10.0.0.1>;tag=a{n}\r\nTo: <sip:bob@10.0.0.2>{tag}\r\n\
             Call-ID: call{n}\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@10.0.0.1>\r\n\r\n"
        );
        self.ua.receive(self.now, flow(), text.into(), true);
        let (sent, told) = drain(&mut self.ua);
        let session = told.iter().find_map(|event| match event {
            Event::Invited { session, .. } => Some(*session),
            _ => None,
        });
        (sent, session)
    }

    fn status(&mut self, n: u32, method: &str, cseq: u32, tag: &str) -> Option<u16> {
        statuses(&self.feed(n, method, cseq, tag).0).pop()
    }

    /// A call that is answered; its tag of ours.
    fn answered(&mut self, n: u32) -> String {
        let (_, session) = self.feed(n, "INVITE", 1, "");
        self.ua.accept(self.now, session.unwrap(), None, &[]);
        let (sent, _) = drain(&mut self.ua);
        sent[0].to().unwrap().tag().unwrap().to_owned()
    }

    fn acknowledged(&mut self, n: u32) -> String {
        let tag = self.answered(n);
        self.feed(n, "ACK", 1, &tag);
        tag
    }
}

#[test]
fn a_full_table_takes_new_work_when_what_was_answered_is_older_than_copies_can_be() {
    let mut host = Host::new(4);
    let tags: Vec<String> = (0..2).map(|n| host.acknowledged(n)).collect();
    for (n, tag) in (0..).zip(&tags) {
        assert_eq!(host.status(n, "BYE", 2, tag), Some(200));
    }
    assert_eq!(host.ua.counts().transactions, 4);
    host.pass(4_900);
    assert!(!host.ua.has_room_for_call(host.now, 0));
    assert_eq!(
        host.status(7, "INVITE", 1, ""),
        Some(503),
        "the control: copies may come"
    );
    assert_eq!(host.status(0, "BYE", 2, &tags[0]), Some(200), "as they do");
    host.pass(200);
    assert!(host.ua.has_room_for_call(host.now, 0));
    let tag = host.acknowledged(8);
    assert_eq!(host.status(8, "BYE", 2, &tag), Some(200));
    let counts = host.ua.counts();
    assert_eq!(
        (counts.transactions, counts.forgotten, counts.refused_full),
        (4, 2, 1)
    );
    // The first call's INVITE and the second's are gone, the BYEs stay.
    assert_eq!(host.status(1, "BYE", 2, &tags[1]), Some(200));
    host.acknowledged(9);
    assert_eq!(host.status(0, "BYE", 2, &tags[0]), Some(481));
    // Time ends the rest as ever.
    host.pass(70_000);
    assert_eq!(host.ua.counts().transactions, 0);
}

#[test]
fn who_waits_has_his_room_before_who_comes() {
    let mut host = Host::new(2);
    host.acknowledged(0);
    assert!(host.ua.has_room_for_call(host.now, 0));
    assert!(!host.ua.has_room_for_call(host.now, 1));
    // A full table has as much as there is in it that may go.
    host.acknowledged(1);
    assert!(!host.ua.has_room_for_call(host.now, 0));
    host.pass(5_000);
    assert!(host.ua.has_room_for_call(host.now, 1));
    assert!(!host.ua.has_room_for_call(host.now, 2));
}

// covers: RFC 3261 §8.2.2.2
#[test]
fn a_copy_of_an_invite_begins_no_second_call_while_its_call_stands() {
    let mut host = Host::new(1);
    let tag = host.acknowledged(0);
    host.pass(5_000);
    host.acknowledged(1);
    assert_eq!(host.ua.counts().forgotten, 1);
    host.pass(5_000);
    let (sent, begun) = host.feed(0, "INVITE", 1, "");
    assert_eq!((statuses(&sent), begun), (vec![482], None));
    // The control: when the call is over, who says the same again calls again.
    host.status(0, "BYE", 2, &tag);
    host.pass(5_000);
    assert!(host.feed(0, "INVITE", 1, "").1.is_some());
}

#[test]
fn what_waits_for_an_answer_or_its_ack_is_never_forgotten() {
    let mut host = Host::new(2);
    host.feed(0, "INVITE", 1, "");
    let tag = host.answered(1);
    host.pass(6_000);
    assert_eq!(host.status(2, "INVITE", 1, ""), Some(503));
    host.feed(1, "ACK", 1, &tag);
    assert!(host.feed(3, "INVITE", 1, "").1.is_some());
    assert_eq!(host.ua.counts().sessions, 3);
}

#[test]
fn a_request_of_ours_that_was_answered_long_ago_makes_room_for_another() {
    let mut host = Host::new(1);
    let invite = || Invite {
        request_uri: "sip:bob@10.0.0.1".into(),
        flow: flow(),
        from: "<sip:us@10.0.0.2>".into(),
        to: "<sip:bob@10.0.0.1>".into(),
        contact_user: "us".into(),
        headers: Vec::new(),
        offer: Some("v=0".into()),
        credentials: None,
        max_forwards: 70,
        reliable: Reliable::No,
        timers: None,
    };
    host.ua.invite(host.now, invite()).unwrap();
    let sent = drain(&mut host.ua).0.remove(0);
    assert_eq!(host.ua.invite(host.now, invite()), Err(Busy::Full));
    let line = |name: Name| format!("{}: {}\r\n", name.as_str(), sent.header(name).unwrap());
    let answer = format!(
        "SIP/2.0 200 OK\r\n{}{}To: <sip:bob@10.0.0.1>;tag=b\r\n{}{}Contact: <sip:bob@10.0.0.1>\r\n\r\n",
        line(Name::Via),
        line(Name::From),
        line(Name::CallId),
        line(Name::CSeq),
    );
    host.ua
        .receive(host.now, flow(), answer.clone().into(), true);
    assert_eq!(drain(&mut host.ua).0.len(), 1, "the ACK");
    host.pass(4_900);
    assert_eq!(host.ua.invite(host.now, invite()), Err(Busy::Full));
    host.ua
        .receive(host.now, flow(), answer.clone().into(), true);
    assert_eq!(
        drain(&mut host.ua).0.len(),
        1,
        "the control: it is acknowledged again"
    );
    host.pass(200);
    assert!(host.ua.invite(host.now, invite()).is_ok());
    drain(&mut host.ua);
    let strays = host.ua.counts().strays;
    host.ua.receive(host.now, flow(), answer.into(), true);
    assert_eq!(host.ua.counts().strays, strays + 1);
}

#[test]
fn what_a_flood_filled_goes_back_when_it_is_over() {
    let mut host = Host::new(100_000);
    for n in 0..20_000 {
        if let (_, Some(session)) = host.feed(n, "INVITE", 1, "") {
            host.ua.end(host.now, session, Ending::default());
            drain(&mut host.ua);
        }
    }
    let full = host.ua.room();
    assert!(full > 20_000, "room for {full}");
    for _ in 0..200 {
        host.pass(1_000);
    }
    let left = host.ua.room();
    assert!(left < full / 4, "room for {left} of {full} stays");
}
