//! The transaction layer: the tables of both roles, and the wires between machines, bytes and sessions.

use super::draft::Draft;
use super::event::{Busy, RequestId, SessionId};
use super::reply::reply_flow;
use super::tokens::Known;
use super::{Output, UserAgent};
use crate::auth::Credentials;
use crate::message::{Message, Method};
use crate::transaction::TimerId;
use crate::transaction::{
    Client, ClientInput, ClientOutput, InviteClient, InviteServer, Server, ServerInput,
    ServerOutput, Timing,
};
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A request of ours.
#[derive(Debug)]
pub(super) struct ClientTx {
    machine: ClientMachine,
    pub(super) token: u64,
    pub(super) method: Method,
    pub(super) flow: Flow,
    /// What to send again: the request, later the ACK of a refusal.
    wire: Bytes,
    /// Until the final response.
    pub(super) draft: Option<Box<Draft>>,
    pub(super) owner: ClientOwner,
    pub(super) credentials: Option<Arc<Credentials>>,
    /// How often credentials were sent.
    pub(super) tries: u8,
    /// Where the latest response came from.
    pub(super) answered_by: Option<IpAddr>,
    /// The ACKs of 2xx responses, by the tag of the dialog.
    acks: Vec<(String, Flow, Bytes)>,
    timer: Option<(TimerId, Now)>,
}

#[derive(Debug)]
enum ClientMachine {
    Invite(InviteClient),
    Other(Client),
}

impl ClientTx {
    /// The timer fired: there is none to cancel.
    pub(super) fn forget_timer(&mut self) {
        self.timer = None;
    }
}

/// Who learns of the outcome of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientOwner {
    /// The INVITE that began a session.
    Invite(SessionId),
    /// A re-INVITE or UPDATE with an offer of our user.
    Offer(SessionId),
    /// A PRACK.
    Prack(SessionId),
    /// A refresh of the session timer.
    Refresh(SessionId),
    /// The BYE of a session.
    Bye(SessionId),
    /// A request of our user in a dialog.
    InDialog(SessionId, RequestId),
    /// A request of our user outside any dialog.
    Outside(RequestId),
    /// Nobody: CANCEL, and the BYE of a dialog that nobody wanted.
    Nobody,
}

/// The end of a request of ours.
pub(super) struct Outcome {
    pub(super) tx: u64,
    pub(super) owner: ClientOwner,
    pub(super) draft: Box<Draft>,
    pub(super) flow: Flow,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) tries: u8,
    /// Where the response came from.
    pub(super) by: Option<IpAddr>,
    pub(super) status: u16,
    /// `None`: silence (408) or a failed flow (503).
    pub(super) response: Option<Message>,
}

/// A request of the peer.
#[derive(Debug)]
pub(super) struct ServerTx {
    machine: ServerMachine,
    key: Known,
    merge: Option<u64>,
    pub(super) reply: Flow,
    pub(super) source: SocketAddr,
    /// Until the final response.
    pub(super) request: Option<Message>,
    pub(super) response: Bytes,
    /// Our tag in responses, where the request has none.
    pub(super) tag: u64,
    pub(super) owner: ServerOwner,
    /// An INVITE with its final response, but not the ACK.
    pub(super) awaits_ack: bool,
    timer: Option<(TimerId, Now)>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl ServerTx {
    /// Whether it only answers copies, and none can be on the way any more.
    pub(super) fn is_spare(&self, now: Now) -> bool {
        match &self.machine {
            ServerMachine::Invite(machine) => machine.is_spare(now),
            ServerMachine::Other(machine) => machine.is_spare(now),
        }
    }

    /// The timer fired: there is none to cancel.
    pub(super) fn forget_timer(&mut self) {
        self.timer = None;
    }

    /// Where responses go.
    pub(super) fn reply_flow(&self) -> Flow {
        self.reply
    }

    pub(super) fn is_invite(&self) -> bool {
        matches!(self.machine, ServerMachine::Invite(_))
    }
}

/// Whose answer a request of the peer awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerOwner {
    /// The INVITE that began a session.
    Invite(SessionId),
    /// A re-INVITE or UPDATE.
    Offer(SessionId),
    /// The user's, by request id.
    User,
    /// Answered at once by the user agent itself.
    Core,
}

/// Who sends a request: who learns of its outcome, who we are, and how often that was said.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) owner: ClientOwner,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) tries: u8,
}

impl Sender {
    pub(super) const NOBODY: Self = Self {
        owner: ClientOwner::Nobody,
        credentials: None,
        tries: 0,
    };
}

/// What waits on the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Client(u64),
    Server(u64),
    Session(u64),
}

impl UserAgent {
    /// Starts a request of ours.
    pub(super) fn start(
        &mut self,
        now: Now,
        draft: Box<Draft>,
        flow: Flow,
        owner: ClientOwner,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<u64, Busy> {
        self.start_as(
            now,
            None,
            draft,
            flow,
            Sender {
                owner,
                credentials,
                tries: 0,
            },
        )
    }

    /// Starts a request, on the branch of another one if it is that one's CANCEL.
    pub(super) fn start_as(
        &mut self,
        now: Now,
        branch: Option<u64>,
        draft: Box<Draft>,
        flow: Flow,
        sender: Sender,
    ) -> Result<u64, Busy> {
        let token = branch.unwrap_or_else(|| self.tokens.next());
        let via = self.config.via(&flow, token).ok_or(Busy::NoListener)?;
        let wire = draft.write(&via).map_err(|_| Busy::Malformed)?;
        let timing = Timing::new(self.config.t1, flow.transport.is_reliable());
        let method = draft.method;
        let machine = match method {
            Method::Invite => ClientMachine::Invite(InviteClient::new(now, timing)),
            _ => ClientMachine::Other(Client::new(now, timing)),
        };
        let id = self.clients.insert(ClientTx {
            machine,
            token,
            method,
            flow,
            wire,
            draft: Some(draft),
            owner: sender.owner,
            credentials: sender.credentials,
            tries: sender.tries,
            answered_by: None,
            acks: Vec::new(),
            timer: None,
        });
        self.branches.insert((token, method), id);
        self.settle_client(now, id, None);
        Ok(id)
    }

    /// Feeds one input to a request of ours, and its outcome to its owner.
    pub(super) fn drive_client(
        &mut self,
        now: Now,
        id: u64,
        input: ClientInput,
        response: Option<&Message>,
    ) {
        let Some(tx) = self.clients.get_mut(id) else {
            return;
        };
        match &mut tx.machine {
            ClientMachine::Invite(machine) => machine.handle(now, input),
            ClientMachine::Other(machine) => machine.handle(now, input),
        }
        self.settle_client(now, id, response);
    }

    /// Forgets a request of ours without a word to its owner.
    pub(super) fn abandon_client(&mut self, id: u64) {
        if let Some(tx) = self.clients.remove(id) {
            self.branches.remove(&(tx.token, tx.method));
            if let Some((timer, _)) = tx.timer {
                self.wheel.cancel(timer);
            }
        }
    }

    /// Forgets a request of ours unless it has its final response.
    pub(super) fn abandon_unanswered(&mut self, id: u64) {
        if self.clients.get(id).is_some_and(|tx| tx.draft.is_some()) {
            self.abandon_client(id);
        }
    }

    /// Lets a request of ours end without its owner. The refusal of an INVITE is still acknowledged,
    /// lest the peer repeat it for 64·T1 (§17.1.1.3).
    pub(super) fn orphan(&mut self, id: u64) {
        let Some(tx) = self.clients.get_mut(id).filter(|tx| tx.draft.is_some()) else {
            return;
        };
        match &mut tx.machine {
            ClientMachine::Invite(machine) => {
                machine.orphan();
                tx.owner = ClientOwner::Nobody;
                self.arm_client(id);
            }
            ClientMachine::Other(_) => self.abandon_client(id),
        }
    }

    /// Keeps the ACK of a 2xx to be sent for each retransmission, and sends it.
    pub(super) fn acknowledge_2xx(&mut self, id: u64, tag: &str, flow: Flow, wire: Bytes) {
        self.transmit(flow, wire.clone());
        if let Some(tx) = self.clients.get_mut(id) {
            tx.acks.push((tag.to_owned(), flow, wire));
        }
        self.arm_client(id);
    }

    /// Whether a CANCEL may be sent for this INVITE now.
    pub(super) fn may_cancel(&self, id: u64) -> bool {
        self.clients.get(id).is_some_and(
            |tx| matches!(&tx.machine, ClientMachine::Invite(machine) if machine.may_cancel()),
        )
    }

    fn settle_client(&mut self, now: Now, id: u64, response: Option<&Message>) {
        let mut outcome = None;
        loop {
            let Some(tx) = self.clients.get_mut(id) else {
                return;
            };
            let output = match &mut tx.machine {
                ClientMachine::Invite(machine) => machine.poll_output(),
                ClientMachine::Other(machine) => machine.poll_output(),
            };
            match output {
                None => break,
                Some(ClientOutput::SendRequest) => {
                    let (flow, wire) = (tx.flow, tx.wire.clone());
                    self.transmit(flow, wire);
                }
                Some(ClientOutput::SendAck) => self.send_ack(id, response),
                Some(ClientOutput::Deliver) => {
                    outcome = Some(response.and_then(Message::status).unwrap_or(500));
                }
                Some(ClientOutput::TimedOut) => outcome = Some(408),
                Some(ClientOutput::TransportFailed) => outcome = Some(503),
            }
        }
        let Some(status) = outcome else {
            return self.arm_client(id);
        };
        if let (100..=199, Some(response)) = (status, response) {
            let owner = self.clients.get(id).map(|tx| tx.owner);
            self.arm_client(id);
            if let Some(ClientOwner::Invite(session)) = owner {
                self.on_provisional(now, session, id, response);
            }
            return;
        }
        let Some(tx) = self.clients.get_mut(id) else {
            return;
        };
        let Some(draft) = tx.draft.take() else {
            // A 2xx after the first: the same again, or another fork's.
            self.arm_client(id);
            if let Some(response) = response {
                self.on_further_2xx(now, id, response);
            }
            return;
        };
        let outcome = Outcome {
            tx: id,
            owner: tx.owner,
            draft,
            flow: tx.flow,
            credentials: tx.credentials.take(),
            tries: tx.tries,
            by: tx.answered_by,
            status,
            response: response.cloned(),
        };
        if tx.method != Method::Invite || status < 300 {
            tx.wire = Bytes::new();
        }
        self.arm_client(id);
        self.on_outcome(now, outcome);
    }

    fn send_ack(&mut self, id: u64, response: Option<&Message>) {
        let Some(tx) = self.clients.get_mut(id) else {
            return;
        };
        if let (Some(draft), Some(response)) = (&tx.draft, response) {
            let via = self.config.via(&tx.flow, tx.token);
            let ack = via.and_then(|via| draft.ack(response).write(&via).ok());
            tx.wire = ack.unwrap_or_default();
        }
        let (flow, wire) = (tx.flow, tx.wire.clone());
        self.transmit(flow, wire);
    }

    /// Sends the ACK of a 2xx again; `false` when there is none for this tag yet.
    pub(super) fn repeat_ack(&mut self, id: u64, tag: &str) -> bool {
        let Some(tx) = self.clients.get(id) else {
            return false;
        };
        let Some((_, flow, wire)) = tx.acks.iter().find(|(known, _, _)| known == tag) else {
            return false;
        };
        let (flow, wire) = (*flow, wire.clone());
        self.transmit(flow, wire);
        true
    }

    fn arm_client(&mut self, id: u64) {
        let Some(tx) = self.clients.get_mut(id) else {
            return;
        };
        let (over, deadline) = match &tx.machine {
            ClientMachine::Invite(machine) => (machine.is_terminated(), machine.deadline()),
            ClientMachine::Other(machine) => (machine.is_terminated(), machine.deadline()),
        };
        if over {
            return self.abandon_client(id);
        }
        arm(&mut self.wheel, &mut tx.timer, deadline, Timer::Client(id));
        // A 2xx without its ACK waits for our user.
        if matches!(&tx.machine, ClientMachine::Invite(machine) if machine.lingers())
            && !(tx.wire.is_empty() && tx.acks.is_empty())
        {
            self.clients.rest(id);
        }
    }

    /// Begins a transaction for a request of the peer.
    pub(super) fn begin(
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
    pub(super) fn repeat_response(&mut self, now: Now, id: u64, status: u16) {
        self.drive_server(now, id, ServerInput::Respond(status));
    }

    /// Feeds one input to a request of the peer.
    pub(super) fn drive_server(&mut self, now: Now, id: u64, input: ServerInput) {
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
    pub(super) fn is_open_invite(&self, id: u64) -> bool {
        self.servers.get(id).is_some_and(
            |tx| matches!(&tx.machine, ServerMachine::Invite(machine) if machine.is_proceeding()),
        )
    }

    /// The tag that our responses to a request carry.
    pub(super) fn tag_of(&self, id: u64) -> Option<u64> {
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
    pub(super) fn rest_server(&mut self, id: u64) {
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
    pub(super) fn has_room_for_server(&mut self, now: Now) -> bool {
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

    /// The same for a request of ours.
    pub(super) fn has_room(&mut self, now: Now) -> bool {
        if self.clients.len() < self.config.limits.transactions {
            return true;
        }
        let Some(oldest) = self.clients.oldest_resting() else {
            return false;
        };
        let spare = |tx: &ClientTx| match &tx.machine {
            ClientMachine::Invite(machine) => machine.is_spare(now),
            ClientMachine::Other(_) => false,
        };
        if !self.clients.get(oldest).is_some_and(spare) {
            return false;
        }
        self.counts.forgotten += 1;
        self.abandon_client(oldest);
        true
    }

    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        if !bytes.is_empty() {
            self.outputs.push_back(Output::Transmit { flow, bytes });
        }
    }
}

/// Moves a timer to a new deadline.
pub(super) fn arm(
    wheel: &mut crate::transaction::Wheel<Timer>,
    timer: &mut Option<(TimerId, Now)>,
    deadline: Option<Now>,
    key: Timer,
) {
    if timer.map(|(_, at)| at) == deadline {
        return;
    }
    if let Some((old, _)) = timer.take() {
        wheel.cancel(old);
    }
    *timer = deadline.map(|at| (wheel.schedule(at, key), at));
}
