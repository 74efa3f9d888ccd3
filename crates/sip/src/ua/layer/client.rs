//! Requests of ours: their table, and who learns of their outcome.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use clock::Now;

use super::{Timer, arm};
use crate::auth::Credentials;
use crate::message::{Message, Method};
use crate::transaction::{Client, ClientInput, ClientOutput, InviteClient, TimerId, Timing};
use crate::transport::Flow;
use crate::ua::UserAgent;
use crate::ua::draft::Draft;
use crate::ua::event::{Busy, RequestId, SessionId};

/// A request of ours.
#[derive(Debug)]
pub(in crate::ua) struct ClientTx {
    machine: ClientMachine,
    pub(in crate::ua) token: u64,
    pub(in crate::ua) method: Method,
    pub(in crate::ua) flow: Flow,
    /// What to send again: the request, later the ACK of a refusal.
    wire: Bytes,
    /// Until the final response.
    pub(in crate::ua) draft: Option<Box<Draft>>,
    pub(in crate::ua) owner: ClientOwner,
    pub(in crate::ua) credentials: Option<Arc<Credentials>>,
    /// How often credentials were sent.
    pub(in crate::ua) tries: u8,
    /// Where the latest response came from.
    pub(in crate::ua) answered_by: Option<IpAddr>,
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
    pub(in crate::ua) fn forget_timer(&mut self) {
        self.timer = None;
    }
}

/// Who learns of the outcome of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ua) enum ClientOwner {
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
pub(in crate::ua) struct Outcome {
    pub(in crate::ua) tx: u64,
    pub(in crate::ua) owner: ClientOwner,
    pub(in crate::ua) draft: Box<Draft>,
    pub(in crate::ua) flow: Flow,
    pub(in crate::ua) credentials: Option<Arc<Credentials>>,
    pub(in crate::ua) tries: u8,
    /// Where the response came from.
    pub(in crate::ua) by: Option<IpAddr>,
    pub(in crate::ua) status: u16,
    /// `None`: silence (408) or a failed flow (503).
    pub(in crate::ua) response: Option<Message>,
}

/// Who sends a request: who learns of its outcome, who we are, and how often that was said.
#[derive(Clone, Debug)]
pub(in crate::ua) struct Sender {
    pub(in crate::ua) owner: ClientOwner,
    pub(in crate::ua) credentials: Option<Arc<Credentials>>,
    pub(in crate::ua) tries: u8,
}

impl Sender {
    pub(in crate::ua) const NOBODY: Self = Self {
        owner: ClientOwner::Nobody,
        credentials: None,
        tries: 0,
    };
}

impl UserAgent {
    /// Starts a request of ours.
    pub(in crate::ua) fn start(
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
    pub(in crate::ua) fn start_as(
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
    pub(in crate::ua) fn drive_client(
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
    pub(in crate::ua) fn abandon_client(&mut self, id: u64) {
        if let Some(tx) = self.clients.remove(id) {
            self.branches.remove(&(tx.token, tx.method));
            if let Some((timer, _)) = tx.timer {
                self.wheel.cancel(timer);
            }
        }
    }

    /// Forgets a request of ours unless it has its final response.
    pub(in crate::ua) fn abandon_unanswered(&mut self, id: u64) {
        if self.clients.get(id).is_some_and(|tx| tx.draft.is_some()) {
            self.abandon_client(id);
        }
    }

    /// Lets a request of ours end without its owner. The refusal of an INVITE is still acknowledged,
    /// lest the peer repeat it for 64·T1 (§17.1.1.3).
    pub(in crate::ua) fn orphan(&mut self, id: u64) {
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
    pub(in crate::ua) fn acknowledge_2xx(&mut self, id: u64, tag: &str, flow: Flow, wire: Bytes) {
        self.transmit(flow, wire.clone());
        if let Some(tx) = self.clients.get_mut(id) {
            tx.acks.push((tag.to_owned(), flow, wire));
        }
        self.arm_client(id);
    }

    /// Whether a CANCEL may be sent for this INVITE now.
    pub(in crate::ua) fn may_cancel(&self, id: u64) -> bool {
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
    pub(in crate::ua) fn repeat_ack(&mut self, id: u64, tag: &str) -> bool {
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

    /// The same for a request of ours.
    pub(in crate::ua) fn has_room(&mut self, now: Now) -> bool {
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
}
