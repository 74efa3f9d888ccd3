//! Fuzz bodies: operations chosen by bytes, on two user agents that talk to each other.

use super::{
    Ending, Event, Invite, Listener, Output, Reliable, SessionId, UserAgent, UserAgentConfig,
};
use crate::transaction::{
    Client, ClientInput, InviteClient, InviteServer, Server, ServerInput, Timing,
};
use crate::transport::{Flow, ListenerId, Transport};
use bytes::Bytes;
use clock::{Duration, Now};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

/// Feeds all four transaction machines whatever the input says, at whatever time.
pub fn transaction_ops(data: &[u8]) {
    let timing = |byte: u8| Timing::new(Duration::from_millis(500), byte & 1 == 1);
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let mut now = Now::ZERO;
    let mut invite = InviteClient::new(now, timing(first));
    let mut client = Client::new(now, timing(first));
    let mut answer = InviteServer::new(timing(first));
    let mut server = Server::new(now, timing(first));
    for &byte in rest {
        now += Duration::from_millis(u64::from(byte) * 17);
        let status = 100 + u16::from(byte) * 3;
        let (asked, told) = match byte % 4 {
            0 => (ClientInput::Deadline, ServerInput::Deadline),
            1 => (ClientInput::Response(status), ServerInput::Respond(status)),
            2 => (ClientInput::Response(200), ServerInput::Request),
            _ if byte > 250 => (ClientInput::TransportFailed, ServerInput::TransportFailed),
            _ => (ClientInput::Response(100), ServerInput::Ack),
        };
        invite.handle(now, asked);
        client.handle(now, asked);
        answer.handle(now, told);
        server.handle(now, told);
        while invite.poll_output().is_some() || client.poll_output().is_some() {}
        while answer.poll_output().is_some() || server.poll_output().is_some() {}
    }
    let dead = [
        (invite.is_terminated(), invite.deadline()),
        (client.is_terminated(), client.deadline()),
        (answer.is_terminated(), answer.deadline()),
        (server.is_terminated(), server.deadline()),
    ];
    assert!(
        dead.iter().all(|(over, due)| !over || due.is_none()),
        "a dead machine has a timer"
    );
}

/// Calls, answers, hangs up, loses, repeats and mangles as the input says; in the end every call is
/// ended, and nothing may be left.
pub fn dialog_ops(data: &[u8]) {
    let mut world = World::new();
    for pair in data.chunks_exact(2) {
        if let &[op, value] = pair {
            world.act(op, value);
        }
    }
    world.finish();
}

struct World {
    now: Now,
    ends: [UserAgent; 2],
    sessions: [Vec<SessionId>; 2],
    wire: VecDeque<(usize, Bytes)>,
}

impl World {
    fn new() -> Self {
        let end = |side: u8| {
            let listener = Listener {
                id: ListenerId(0),
                transport: Transport::Udp,
                advertised_host: format!("10.0.0.{side}"),
                advertised_port: 5060,
            };
            let mut config = UserAgentConfig::new(vec![listener], "fuzz");
            config.reliable_progress = side == 1;
            UserAgent::new(config, side.into())
        };
        Self {
            now: Now::ZERO,
            ends: [end(0), end(1)],
            sessions: [Vec::new(), Vec::new()],
            wire: VecDeque::new(),
        }
    }

    fn act(&mut self, op: u8, value: u8) {
        let side = usize::from(value & 1);
        let body = (value & 2 != 0).then(|| Bytes::from_static(b"v=0"));
        let now = self.now;
        let sessions = self
            .sessions
            .get(side)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let picked = sessions.iter().rev().nth(usize::from(value >> 6)).copied();
        let session = picked.unwrap_or(SessionId(value.into()));
        let Some(ua) = self.ends.get_mut(side) else {
            return;
        };
        match op % 12 {
            0 => drop(
                ua.invite(now, invite(side, body, value))
                    .map(|id| self.note(side, id)),
            ),
            1 => ua.progress(now, session, 180 + u16::from(value >> 4), body),
            2 => ua.accept(now, session, body, &[]),
            3 => ua.end(
                now,
                session,
                Ending {
                    status: u16::from(value) * 3,
                    ..Ending::default()
                },
            ),
            4 => ua.acknowledge(now, session, body),
            5 => ua.reinvite(now, session, body),
            6 => ua.answer_offer(now, session, body),
            7 => ua.refuse_offer(now, session, u16::from(value) * 3),
            8 => self.mangle(usize::from(value)),
            9 => drop(self.wire.pop_front()),
            10 => self.now += Duration::from_millis(u64::from(value) * 50),
            _ => {}
        }
        self.pump(usize::from(value & 3));
    }

    /// Delivers some of what lies on the wire.
    fn pump(&mut self, count: usize) {
        let now = self.now;
        for ua in &mut self.ends {
            ua.handle_timeout(now);
        }
        self.drain();
        for _ in 0..count {
            let Some((from, bytes)) = self.wire.pop_front() else {
                break;
            };
            if let Some(ua) = self.ends.get_mut(1 - from) {
                ua.receive(now, flow(from), bytes, true);
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(output) = self.ends.get_mut(side).and_then(UserAgent::poll_output) {
                match output {
                    Output::Transmit { bytes, .. } => self.wire.push_back((side, bytes)),
                    Output::Event(Event::Invited { session, .. }) => self.note(side, session),
                    Output::Event(_) => {}
                }
            }
        }
    }

    fn note(&mut self, side: usize, session: SessionId) {
        if let Some(sessions) = self.sessions.get_mut(side) {
            sessions.push(session);
        }
    }

    /// Changes one byte of the next message, and repeats it.
    fn mangle(&mut self, value: usize) {
        if let Some((from, bytes)) = self.wire.front() {
            let mut mangled = bytes.to_vec();
            let at = value * 7 % mangled.len().max(1);
            if let Some(byte) = mangled.get_mut(at) {
                *byte = byte.wrapping_add(value as u8);
            }
            self.wire.push_back((*from, mangled.into()));
        }
    }

    fn finish(&mut self) {
        for side in 0..2 {
            for session in self.sessions.get(side).cloned().unwrap_or_default() {
                if let Some(ua) = self.ends.get_mut(side) {
                    ua.end(self.now, session, Ending::default());
                }
            }
        }
        for _ in 0..600 {
            self.pump(usize::MAX);
            self.now += Duration::from_secs(1);
        }
        for ua in &self.ends {
            let counts = ua.counts();
            let held = (counts.transactions, counts.sessions, counts.timers);
            assert!(held == (0, 0, 0), "left behind: {counts:?}");
        }
    }
}

fn flow(from: usize) -> Flow {
    let remote = SocketAddr::from((Ipv4Addr::new(10, 0, 0, from as u8), 5060));
    Flow::udp(ListenerId(0), remote)
}

fn invite(side: usize, offer: Option<Bytes>, value: u8) -> Invite {
    let modes = [
        Reliable::No,
        Reliable::Supported,
        Reliable::Required,
        Reliable::ByUser,
    ];
    Invite {
        request_uri: format!("sip:x@10.0.0.{}", 1 - side),
        flow: flow(1 - side),
        from: "<sip:a@x>".to_owned(),
        to: "<sip:b@y>".to_owned(),
        contact_user: "a".to_owned(),
        headers: Vec::new(),
        offer,
        credentials: None,
        max_forwards: 70,
        reliable: modes
            .get(usize::from(value >> 2 & 3))
            .copied()
            .unwrap_or_default(),
        timers: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{dialog_ops, transaction_ops};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

        #[test]
        fn whatever_is_done_nothing_panics_and_nothing_is_left(data in prop::collection::vec(any::<u8>(), 0..160)) {
            dialog_ops(&data);
        }

        #[test]
        fn a_terminated_machine_has_no_timer(data in prop::collection::vec(any::<u8>(), 0..80)) {
            transaction_ops(&data);
        }
    }
}
