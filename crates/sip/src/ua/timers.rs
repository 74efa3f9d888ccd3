//! What time does: retransmissions, patience running out, session timers; and what a lost flow does.

use super::event::{EndedBy, Ending, SessionId};
use super::layer::Timer;
use super::server_invite::REPEAT_PROVISIONAL;
use super::session::{Fate, Offer, Phase, Session};
use super::{UserAgent, q850};
use crate::dialog::SessionTimer;
use crate::transaction::{ClientInput, ServerInput};
use crate::transport::Flow;
use clock::{Duration, Now};

impl UserAgent {
    pub(super) fn on_timeout(&mut self, now: Now) {
        while let Some(timer) = self.wheel.expire(now) {
            match timer {
                Timer::Client(id) => {
                    if let Some(tx) = self.clients.get_mut(id) {
                        tx.forget_timer();
                    }
                    self.drive_client(now, id, ClientInput::Deadline, None);
                }
                Timer::Server(id) => {
                    if let Some(tx) = self.servers.get_mut(id) {
                        tx.forget_timer();
                    }
                    self.drive_server(now, id, ServerInput::Deadline);
                }
                Timer::Session(id) => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.timer = None;
                    }
                    let id = SessionId(id);
                    self.change(id, |ua, session| ua.on_session_time(now, id, session));
                }
            }
        }
        self.give_back();
    }

    fn on_session_time(&mut self, now: Now, id: SessionId, session: &mut Session) -> Fate {
        if let Phase::Abandoned {
            tx,
            give_up_at: Some(at),
            ..
        } = session.phase
            && at <= now
        {
            // Neither a final response nor silence would change anything (§9.1).
            self.abandon_client(tx);
            return Fate::Gone;
        }
        self.repeat_provisional(now, session);
        if self.repeat_reliable(now, id, session) == Fate::Gone {
            return Fate::Gone;
        }
        if session.is_early() && session.waiting.as_ref().is_some_and(|it| it.until <= now) {
            self.retry_offer(now, id, session);
        }
        if self.repeat_answers(now, id, session) == Fate::Gone {
            return Fate::Gone;
        }
        if !matches!(session.phase, Phase::Established) {
            return Fate::Stays;
        }
        if matches!(session.offer, Offer::Ours { give_up_at, .. } if give_up_at <= now) {
            self.abandon_offer(id, session);
        }
        if session
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.until <= now)
        {
            self.retry_offer(now, id, session);
        }
        self.keep_session(now, id, session)
    }

    fn repeat_provisional(&mut self, now: Now, session: &mut Session) {
        if let Phase::Ringing {
            latest: Some(latest),
            repeat_at: Some(at),
            ..
        } = &mut session.phase
            && *at <= now
        {
            *at = now + REPEAT_PROVISIONAL;
            let latest = latest.clone();
            self.say(now, session, latest);
        }
    }

    /// Sends unacknowledged 2xx responses again; gives up after 64·T1 (§13.3.1.4).
    fn repeat_answers(&mut self, now: Now, id: SessionId, session: &mut Session) -> Fate {
        let mut given_up = false;
        for at in 0..session.unacked.len() {
            let Some(ack) = session.unacked.get_mut(at) else {
                break;
            };
            if ack.give_up_at <= now {
                given_up = true;
            } else if ack.repeat_at <= now {
                ack.interval = (ack.interval * 2).min(T2);
                ack.repeat_at = now + ack.interval;
                let tx = ack.tx;
                self.repeat_response(now, tx, 200);
            }
        }
        if !given_up {
            return Fate::Stays;
        }
        session.unacked.clear();
        match &mut session.phase {
            Phase::Established => {
                let reason = Some(q850(102, "No ACK"));
                let ending = Ending {
                    reason,
                    ..Ending::default()
                };
                self.hang_up(now, id, session, ending, (EndedBy::NoAck, None))
            }
            _ => self.end_if_overdue(now, id, session),
        }
    }

    /// Refreshes the session, or ends it when nobody did (RFC 4028 §10).
    fn keep_session(&mut self, now: Now, id: SessionId, session: &mut Session) -> Fate {
        match session.session_timer {
            SessionTimer::Watcher { ends_at, .. } | SessionTimer::Refresher { ends_at, .. }
                if ends_at <= now =>
            {
                let reason = Some(q850(102, "Session timer expired"));
                let ending = Ending {
                    reason,
                    ..Ending::default()
                };
                self.hang_up(now, id, session, ending, (EndedBy::SessionTimer, None))
            }
            SessionTimer::Refresher {
                interval,
                refresh_at,
                ends_at,
            } if refresh_at <= now => {
                let is_free = matches!(session.offer, Offer::None) && session.waiting.is_none();
                let sent = is_free && self.send_refresh(now, id, session, 0);
                // While an offer is open its own 2xx refreshes; else look again soon.
                let again = if sent { ends_at } else { now + LOOK_AGAIN };
                session.session_timer = SessionTimer::Refresher {
                    interval,
                    refresh_at: again,
                    ends_at,
                };
                Fate::Stays
            }
            _ => Fate::Stays,
        }
    }

    pub(super) fn on_flow_failed(&mut self, now: Now, flow: Flow) {
        for id in self.clients.names() {
            if self
                .clients
                .get(id)
                .is_some_and(|tx| is_same(tx.flow, flow))
            {
                self.drive_client(now, id, ClientInput::TransportFailed, None);
            }
        }
        for id in self.servers.names() {
            if self
                .servers
                .get(id)
                .is_some_and(|tx| is_same(tx.reply_flow(), flow))
            {
                self.drive_server(now, id, ServerInput::TransportFailed);
            }
        }
    }
}

impl UserAgent {
    pub(super) fn on_flow_moved(&mut self, from: Flow, to: Flow) {
        if from.connection.is_none() {
            return;
        }
        let follow = |flow: &mut Flow| {
            if flow.connection == from.connection {
                *flow = to;
            }
        };
        for id in self.sessions.names() {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            let forks = session.forks.iter_mut().map(|fork| &mut fork.dialog);
            let dialogs = session.dialog.iter_mut().chain(forks);
            dialogs.for_each(|dialog| follow(&mut dialog.flow));
        }
        for id in self.clients.names() {
            if let Some(tx) = self.clients.get_mut(id) {
                follow(&mut tx.flow);
            }
        }
        for id in self.servers.names() {
            if let Some(tx) = self.servers.get_mut(id) {
                follow(&mut tx.reply);
            }
        }
    }
}

/// Whether what goes on `ours` goes the way that failed; a flow without a connection may have been put
/// on any to the same address and peer.
fn is_same(ours: Flow, failed: Flow) -> bool {
    let connection = match (ours.connection, failed.connection) {
        (Some(ours), Some(failed)) => ours == failed,
        _ => ours.peer == failed.peer,
    };
    connection
        && (ours.transport, ours.listener, ours.remote)
            == (failed.transport, failed.listener, failed.remote)
}

/// The longest interval between two copies of a 2xx.
const T2: Duration = Duration::from_secs(4);
/// How soon a refresh that could not be sent is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
