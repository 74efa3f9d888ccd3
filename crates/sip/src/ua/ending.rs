//! How sessions end: refusal, CANCEL, BYE, or the silence of the other end (RFC 3261 §15).

use super::UserAgent;
use super::event::{EndedBy, Ending, Event, SessionId};
use super::layer::{ClientOwner, ServerOwner};
use super::session::{Fate, Offer, Phase, Session};
use crate::message::{Message, Method, Name};
use clock::Now;

impl UserAgent {
    pub(super) fn on_end(&mut self, now: Now, id: SessionId, ending: Ending) {
        self.change(id, |ua, session| match session.phase {
            Phase::Inviting { .. } => {
                ua.abandon(now, id, session, ending);
                Fate::Stays
            }
            Phase::Ringing { tx, .. } => {
                ua.close_early_offers(now, id, session, None);
                ua.refuse(now, id, tx, ending);
                Fate::Gone
            }
            Phase::Answering { tx, cseq } => {
                // Their offer must be acknowledged even though nobody will answer it.
                ua.send_2xx_ack(session, tx, cseq, None);
                ua.hang_up(now, id, session, ending, (EndedBy::Us, None))
            }
            Phase::Established => ua.hang_up(now, id, session, ending, (EndedBy::Us, None)),
            Phase::Abandoned { .. } | Phase::Closing { .. } => Fate::Stays,
        });
    }

    /// Tells the end of an answered call and sends the BYE, which waits for the ACK of our 2xx.
    pub(super) fn hang_up(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        ending: Ending,
        (by, status): (EndedBy, Option<u16>),
    ) -> Fate {
        self.ended(id, by, status, None);
        match session.offer {
            Offer::Theirs { tx, .. } => self.reply(now, tx, &super::reply::Reply::new(487)),
            Offer::Unanswered { tx, cseq } => self.send_2xx_ack(session, tx, cseq, None),
            Offer::None | Offer::Ours { .. } => {}
        }
        if !matches!(session.offer, Offer::Ours { .. }) {
            session.offer = Offer::None;
        }
        session.waiting = None;
        if session.unacked.iter().any(|ack| ack.is_first) {
            session.phase = Phase::Closing { bye: Some(ending) };
            return Fate::Stays;
        }
        session.unacked.clear();
        self.send_bye(now, id, session, &ending)
    }

    /// Sends a BYE that waited for the ACK of our first 2xx.
    pub(super) fn end_if_overdue(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
    ) -> Fate {
        let is_first_acked = !session.unacked.iter().any(|ack| ack.is_first);
        match &mut session.phase {
            Phase::Closing { bye: bye @ Some(_) } if is_first_acked => {
                let ending = bye.take().unwrap_or_default();
                session.unacked.clear();
                self.send_bye(now, id, session, &ending)
            }
            _ => Fate::Stays,
        }
    }

    /// Sends the BYE; the session stays until it is answered, lest it be challenged.
    pub(super) fn send_bye(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        ending: &Ending,
    ) -> Fate {
        let cseq = session.next_cseq();
        let (Some(mut draft), Some(hop)) =
            (self.draft_in(session, Method::Bye, cseq), session.flow())
        else {
            return Fate::Gone;
        };
        draft.contact = None;
        let plain = Box::new(draft.clone());
        let reason = ending
            .reason
            .iter()
            .map(|r| (Name::Reason.as_str().to_owned(), r.clone()));
        draft.headers = reason.chain(ending.headers.iter().cloned()).collect();
        let owner = ClientOwner::Bye(id);
        session.phase = Phase::Closing { bye: None };
        let credentials = session.credentials.clone();
        let sent = self.start(now, Box::new(draft), hop, owner, credentials.clone());
        // Headers that cannot be written must not keep the call from ending.
        match sent.or_else(|_| self.start(now, plain, hop, owner, credentials)) {
            Ok(_) => Fate::Stays,
            Err(_) => Fate::Gone,
        }
    }

    /// An INVITE, re-INVITE or UPDATE of the peer can no longer be answered: its connection is gone.
    pub(super) fn on_unanswerable(&mut self, owner: ServerOwner) {
        match owner {
            ServerOwner::Invite(id) => self.change(id, |ua, session| match session.phase {
                Phase::Ringing { .. } => {
                    ua.ended(id, EndedBy::FlowFailed, None, None);
                    Fate::Gone
                }
                _ => Fate::Stays,
            }),
            ServerOwner::Offer(id) => self.change(id, |_, session| {
                if let Offer::Theirs { .. } = session.offer {
                    session.offer = Offer::None;
                }
                Fate::Stays
            }),
            ServerOwner::User | ServerOwner::Core => {}
        }
    }

    /// A BYE of the peer, answered already.
    pub(super) fn on_bye(&mut self, now: Now, id: SessionId, request: &Message) {
        self.change(id, |ua, session| {
            match session.phase {
                // Our own BYE or CANCEL crossed it and still needs its session.
                Phase::Closing { bye: None } | Phase::Abandoned { .. } => return Fate::Stays,
                Phase::Closing { .. } => return Fate::Gone,
                Phase::Ringing { tx, .. } => {
                    ua.reply(now, tx, &super::reply::Reply::new(487));
                }
                Phase::Inviting { .. } => return Fate::Stays,
                Phase::Answering { .. } | Phase::Established => {}
            }
            if let Offer::Theirs { tx, .. } = session.offer {
                ua.reply(now, tx, &super::reply::Reply::new(487));
            }
            ua.ended(id, EndedBy::Peer, None, Some(request));
            Fate::Gone
        });
    }

    /// Tells the end of a session; `message` is what carried the reason.
    pub(super) fn ended(
        &mut self,
        session: SessionId,
        by: EndedBy,
        status: Option<u16>,
        message: Option<&Message>,
    ) {
        let reasons: Vec<&str> = message
            .map(|message| message.headers(Name::Reason).collect())
            .unwrap_or_default();
        let reason = (!reasons.is_empty()).then(|| reasons.join(", "));
        let q850 = message.and_then(Message::q850);
        self.event(Event::Ended {
            session,
            by,
            status,
            q850,
            reason,
        });
    }
}
