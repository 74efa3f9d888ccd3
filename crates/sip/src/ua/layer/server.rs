//! Requests of the peer: their table, and whose answers they await.

use std::net::SocketAddr;

use bytes::Bytes;
use clock::Now;

use super::{Timer, arm};
use crate::message::{Message, Method};
use crate::transaction::{InviteServer, Server, ServerInput, ServerOutput, TimerId, Timing};
use crate::transport::Flow;
use crate::ua::UserAgent;
use crate::ua::event::SessionId;
use crate::ua::reply::reply_flow;
use crate::ua::tokens::Known;

/// A request of the peer.
#[derive(Debug)]
pub(in crate::ua) struct ServerTx {
    machine: ServerMachine,
    key: Known,
    merge: Option<u64>,
    pub(in crate::ua) reply: Flow,
    pub(in crate::ua) source: SocketAddr,
    /// Until the final response.
    pub(in crate::ua) request: Option<Message>,
    pub(in crate::ua) response: Bytes,
    /// Our tag in responses, where the request has none.
    pub(in crate::ua) tag: u64,
    pub(in crate::ua) owner: ServerOwner,
    /// An INVITE with its final response, but not the ACK.
    pub(in crate::ua) awaits_ack: bool,
    timer: Option<(TimerId, Now)>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl ServerTx {
    /// Whether it only answers copies, and none can be on the way any more.
    pub(in crate::ua) fn is_spare(&self, now: Now) -> bool {
        match &self.machine {
            ServerMachine::Invite(machine) => machine.is_spare(now),
            ServerMachine::Other(machine) => machine.is_spare(now),
        }
    }

    /// The timer fired: there is none to cancel.
    pub(in crate::ua) fn forget_timer(&mut self) {
        self.timer = None;
    }

    /// Where responses go.
    pub(in crate::ua) fn reply_flow(&self) -> Flow {
        self.reply
    }

    pub(in crate::ua) fn is_invite(&self) -> bool {
        matches!(self.machine, ServerMachine::Invite(_))
    }
}

/// Whose answer a request of the peer awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ua) enum ServerOwner {
    /// The INVITE that began a session.
    Invite(SessionId),
    /// A re-INVITE or UPDATE.
    Offer(SessionId),
    /// The user's, by request id.
    User,
    /// Answered at once by the user agent itself.
    Core,
}

impl UserAgent {
    /// Begins a transaction for a request of the peer.
    pub(in crate::ua) fn begin(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
        (key, merge): (Known, Option<u64>),
        owner: ServerOwner,
    ) -> u64 {
        let timing = Timing::new(self.config.t1, flow.transport.is_reliable());
        let machine = match request.method() {
            Some(Method::Invite) => ServerMachine::Invite(InviteServer::new(timing)),
            _ => ServerMachine::Other(Server::new(now, timing)),
        };
        let id = self.servers.insert(ServerTx {
            machine,
            key,
            merge,
            reply: reply_flow(request, flow),
            source: flow.remote,
            request: Some(request.clone()),
            response: Bytes::new(),
            tag: self.tokens.next(),
            owner,
            awaits_ack: false,
            timer: None,
        });
        self.requests.insert(key, id);
        self.initials.extend(merge);
        self.arm_server(id);
        id
    }

    /// Sends the latest response to an INVITE again: a 2xx (§13.3.1.4), or a reliable provisional one.
    pub(in crate::ua) fn repeat_response(&mut self, now: Now, id: u64, status: u16) {
        self.drive_server(now, id, ServerInput::Respond(status));
    }

    /// Feeds one input to a request of the peer.
    pub(in crate::ua) fn drive_server(&mut self, now: Now, id: u64, input: ServerInput) {
        let Some(tx) = self.servers.get_mut(id) else {
            return;
        };
        match &mut tx.machine {
            ServerMachine::Invite(machine) => machine.handle(now, input),
            ServerMachine::Other(machine) => machine.handle(now, input),
        }
        let mut failed = None;
        loop {
            let Some(tx) = self.servers.get_mut(id) else {
                return;
            };
            let output = match &mut tx.machine {
                ServerMachine::Invite(machine) => machine.poll_output(),
                ServerMachine::Other(machine) => machine.poll_output(),
            };
            match output {
                None => break,
                Some(ServerOutput::SendResponse) => {
                    let (flow, wire) = (tx.reply, tx.response.clone());
                    self.transmit(flow, wire);
                }
                // The ACK's dialog is found by whoever received it.
                Some(ServerOutput::DeliverAck) => {}
                Some(ServerOutput::Failed) => failed = Some(tx.owner),
            }
        }
        self.arm_server(id);
        if let Some(owner) = failed {
            self.on_unanswerable(owner);
        }
    }

    /// Whether the INVITE still awaits its final response.
    pub(in crate::ua) fn is_open_invite(&self, id: u64) -> bool {
        self.servers.get(id).is_some_and(
            |tx| matches!(&tx.machine, ServerMachine::Invite(machine) if machine.is_proceeding()),
        )
    }

    /// The tag that our responses to a request carry.
    pub(in crate::ua) fn tag_of(&self, id: u64) -> Option<u64> {
        self.servers.get(id).map(|tx| tx.tag)
    }

    fn arm_server(&mut self, id: u64) {
        let Some(tx) = self.servers.get_mut(id) else {
            return;
        };
        let (over, deadline) = match &tx.machine {
            ServerMachine::Invite(machine) => (machine.is_terminated(), machine.deadline()),
            ServerMachine::Other(machine) => (machine.is_terminated(), machine.deadline()),
        };
        if !over {
            arm(&mut self.wheel, &mut tx.timer, deadline, Timer::Server(id));
            return self.rest_server(id);
        }
        self.forget_server(id);
    }

    /// Lets what is answered, and acknowledged where that is due, go first when room is short.
    pub(in crate::ua) fn rest_server(&mut self, id: u64) {
        let Some(tx) = self.servers.get(id) else {
            return;
        };
        let lingers = match &tx.machine {
            ServerMachine::Invite(machine) => machine.lingers(),
            ServerMachine::Other(machine) => machine.lingers(),
        };
        if lingers && !tx.awaits_ack {
            self.servers.rest(id);
        }
    }

    fn forget_server(&mut self, id: u64) {
        self.mark_unacked(id, false);
        let Some(tx) = self.servers.remove(id) else {
            return;
        };
        self.requests.remove(&tx.key);
        if let Some((timer, _)) = tx.timer {
            self.wheel.cancel(timer);
        }
        let Some(merge) = tx.merge else {
            return;
        };
        // While its call stands, no copy of the INVITE may begin another.
        let session = match tx.owner {
            ServerOwner::Invite(id) => self.sessions.get_mut(id.0),
            _ => None,
        };
        match session {
            Some(session) => session.initial = Some(merge),
            None => {
                self.initials.remove(&merge);
            }
        }
    }

    /// Whether a request of the peer may have a transaction. Where the table is full, the oldest one
    /// goes that stays for copies which nobody can have sent (T4): what comes of it yet is a stray.
    pub(in crate::ua) fn has_room_for_server(&mut self, now: Now) -> bool {
        if self.servers.len() < self.config.limits.transactions {
            return true;
        }
        let oldest = self.servers.oldest_resting();
        let spare = |id: &u64| self.servers.get(*id).is_some_and(|tx| tx.is_spare(now));
        let Some(oldest) = oldest.filter(spare) else {
            return false;
        };
        self.counts.forgotten += 1;
        self.forget_server(oldest);
        true
    }
}
