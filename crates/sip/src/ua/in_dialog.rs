//! Requests in a dialog that are neither offers nor its end: INFO, REFER, NOTIFY, MESSAGE, OPTIONS.

use super::UserAgent;
use super::draft::{Draft, MAX_FORWARDS};
use super::effect::ends_session;
use super::event::{Busy, EndedBy, Ending, Event, RequestId, SessionId};
use super::layer::{ClientOwner, Outcome, ServerOwner};
use super::reply::Reply;
use super::session::{Fate, Phase, Session};
use super::tokens::Known;
use crate::dialog::Dialog;
use crate::message::{Message, Method, Name, Refusal};
use crate::transport::Flow;
use bytes::Bytes;
use clock::Now;
use std::sync::Arc;

impl UserAgent {
    /// A request of ours in a session's dialog (§12.2.1.1).
    pub(super) fn draft_in(&self, session: &Session, method: Method, cseq: u32) -> Option<Draft> {
        let dialog = session.dialog.as_ref()?;
        Some(self.draft_on(session, dialog, method, cseq))
    }

    /// The same in an early dialog.
    pub(super) fn draft_on(
        &self,
        session: &Session,
        dialog: &Dialog,
        method: Method,
        cseq: u32,
    ) -> Draft {
        let (uri, routes) = dialog.request_line();
        Draft {
            method,
            uri,
            routes,
            from: dialog.local.clone(),
            to: dialog.remote.clone(),
            call_id: Arc::clone(&session.call_id),
            cseq,
            contact: Some(session.contact.clone()),
            max_forwards: MAX_FORWARDS,
            proofs: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub(super) fn send_in(
        &mut self,
        now: Now,
        id: SessionId,
        method: Method,
        headers: &[(String, String)],
        body: Option<(String, Bytes)>,
    ) -> Result<RequestId, Busy> {
        if !self.has_room(now) {
            return Err(Busy::Full);
        }
        let request_id = self.next_request_id();
        let sent = self.with_session(id, |ua, session| {
            let extra = Reply {
                status: 0,
                headers: headers.to_vec(),
                body,
            };
            let sent = ua.send_in_dialog(now, session, (id, request_id), method, extra);
            (Fate::Stays, Some(sent))
        });
        sent.unwrap_or(Err(Busy::NotNow)).map(|_| request_id)
    }

    fn send_in_dialog(
        &mut self,
        now: Now,
        session: &mut Session,
        (id, request_id): (SessionId, RequestId),
        method: Method,
        reply: Reply,
    ) -> Result<u64, Busy> {
        if session.is_told() {
            return Err(Busy::NotNow);
        }
        if !matches!(
            method,
            Method::Info
                | Method::Refer
                | Method::Notify
                | Method::Message
                | Method::Options
                | Method::Subscribe
        ) {
            return Err(Busy::Malformed);
        }
        let cseq = session.next_cseq();
        let mut draft = self.draft_in(session, method, cseq).ok_or(Busy::NotNow)?;
        let hop = session.flow().ok_or(Busy::NotNow)?;
        draft.headers.push((
            Name::UserAgent.as_str().to_owned(),
            self.config.user_agent.clone(),
        ));
        draft.headers.extend(reply.headers);
        draft.body = reply.body;
        let owner = ClientOwner::InDialog(id, request_id);
        let credentials = session.credentials.clone();
        self.start(now, Box::new(draft), hop, owner, credentials)
    }

    /// The final response to a request of ours in a dialog.
    pub(super) fn on_in_dialog_outcome(
        &mut self,
        now: Now,
        (id, request_id): (SessionId, RequestId),
        outcome: Outcome,
    ) {
        self.change(id, |ua, session| {
            let (status, response) = (outcome.status, outcome.response.clone());
            let method = outcome.draft.method;
            if matches!(status, 401 | 407) && !session.is_told() {
                let cseq = session.next_cseq();
                if ua.with_credentials(now, outcome, cseq).is_some() {
                    return Fate::Stays;
                }
            }
            ua.event(Event::InDialogResponse {
                session: id,
                request_id,
                status,
                response,
            });
            let stands = matches!(session.phase, Phase::Established);
            if stands && ends_session(method, status) {
                let ending = Ending::default();
                return ua.hang_up(
                    now,
                    id,
                    session,
                    ending,
                    (EndedBy::FlowFailed, Some(status)),
                );
            }
            Fate::Stays
        });
    }

    /// The final response to our BYE.
    pub(super) fn on_bye_outcome(&mut self, now: Now, id: SessionId, outcome: Outcome) {
        self.change(id, |ua, session| {
            if matches!(outcome.status, 401 | 407) {
                let cseq = session.next_cseq();
                if ua.with_credentials(now, outcome, cseq).is_some() {
                    return Fate::Stays;
                }
            }
            Fate::Gone
        });
    }

    /// A request with a To tag, other than ACK and CANCEL (§12.2.2).
    pub(super) fn on_request_in_dialog(
        &mut self,
        now: Now,
        request: &Message,
        flow: Flow,
        (key, refusal): (Known, Option<Refusal>),
    ) {
        let method = request.method().unwrap_or(Method::Other);
        let Some(id) = self.session_of(request) else {
            // Whoever floods us with these occupies nothing.
            return self.reply_stateless(request, flow, &Reply::new(481));
        };
        let tx = self.begin(now, request, flow, (key, None), ServerOwner::Core);
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let in_order = self.with_session(id, |_, session| {
            let accepted = dialog_of(session, request).is_some_and(|dialog| {
                let in_order = dialog.accept_cseq(number);
                if in_order {
                    dialog.flow = flow;
                }
                in_order
            });
            (Fate::Stays, accepted)
        });
        // A RAck says which response a PRACK is for, however it was overtaken.
        if !in_order && method != Method::Prack {
            return self.reply(now, tx, &Reply::new(500));
        }
        if let Some(refusal) = refusal {
            return self.reply(now, tx, &Reply::of(&refusal));
        }
        if super::replaces::is_misplaced(request, true) {
            return self.reply(now, tx, &Reply::new(400));
        }
        if let Some(refusal) = self.served.refusal_of_event(request) {
            return self.reply(now, tx, &refusal);
        }
        match method {
            Method::Bye => self.on_bye_request(now, id, tx, request),
            Method::Invite | Method::Update => self.on_peer_offer(now, id, tx, request),
            Method::Prack => self.on_prack(now, id, tx, request),
            Method::Info | Method::Refer | Method::Notify | Method::Message | Method::Subscribe => {
                self.deliver_in_dialog(now, id, tx, request)
            }
            // Asks whether the dialog lives (§11.2): it does.
            Method::Options => {
                let reply = Reply::new(200)
                    .with(Name::Allow, self.served.allow())
                    .with(Name::Accept, super::draft::SDP)
                    .with(Name::Supported, super::draft::SUPPORTED);
                self.reply(now, tx, &reply);
            }
            // REGISTER: no dialog has a place for it.
            _ => {
                let reply = Reply::new(405).with(Name::Allow, self.served.allow());
                self.reply(now, tx, &reply);
            }
        }
    }

    fn on_bye_request(&mut self, now: Now, id: SessionId, tx: u64, request: &Message) {
        let is_early = self
            .sessions
            .get(id.0)
            .is_some_and(|session| matches!(session.phase, Phase::Inviting { .. }));
        if is_early {
            // The callee must not end an early dialog this way (§15).
            return self.reply(now, tx, &Reply::new(481));
        }
        self.reply(now, tx, &Reply::new(200));
        self.on_bye(now, id, request);
    }

    fn deliver_in_dialog(&mut self, now: Now, id: SessionId, tx: u64, request: &Message) {
        let is_told = self.sessions.get(id.0).is_none_or(Session::is_told);
        if is_told {
            return self.reply(now, tx, &Reply::new(481));
        }
        if let Some(tx) = self.servers.get_mut(tx) {
            tx.owner = ServerOwner::User;
        }
        self.event(Event::InDialog {
            session: id,
            request_id: RequestId(tx),
            request: request.clone(),
        });
    }

    /// The session whose dialog a request belongs to: by our tag, then Call-ID and the peer's tag.
    pub(super) fn session_of(&mut self, request: &Message) -> Option<SessionId> {
        let tag = super::tokens::from_hex(request.to_tag()?)?;
        let id = *self.tags.get(&tag)?;
        let session = self.sessions.get_mut(id.0)?;
        if &*session.call_id != request.call_id().ok()? {
            return None;
        }
        dialog_of(session, request).map(|_| id)
    }
}

/// The dialog of a session that a request of the peer belongs to.
pub(super) fn dialog_of<'a>(session: &'a mut Session, request: &Message) -> Option<&'a mut Dialog> {
    let tag = request.from_tag().unwrap_or_default();
    session
        .dialog
        .iter_mut()
        .chain(session.forks.iter_mut().map(|fork| &mut fork.dialog))
        .find(|dialog| dialog.remote_tag == tag)
}
