//! Offers before the INVITE has its final response: UPDATE in early dialogs (RFC 3311 §5.1, §5.2), and what
//! becomes of one that is open when the early dialog ends or another one wins.

use super::UserAgent;
use super::client_invite::sdp_of;
use super::draft::{SDP, supported};
use super::event::{Event, SessionId};
use super::layer::{ClientOwner, Outcome};
use super::offers::ours;
use super::prack::Heard;
use super::reply::Reply;
use super::session::{Fate, Offer, Phase, Session, Waiting};
use crate::dialog::Dialog;
use crate::message::{Message, Method, Name};
use bytes::Bytes;
use clock::{Duration, Now};

impl UserAgent {
    /// Sends an offer by UPDATE where the exchange that the INVITE began is complete; `false` where none
    /// may be sent. It waits for a PRACK that is open, ours or theirs: ours must not be overtaken, and theirs
    /// completes the exchange.
    pub(super) fn offer_early(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        (body, tries): (Option<Bytes>, u8),
    ) -> bool {
        let (Some((dialog, is_quiet)), Some(body)) = (ready(session), body) else {
            return false;
        };
        if !is_quiet {
            session.waiting = Some(Waiting {
                until: now + SOON,
                body: Some(body),
                is_refresh: false,
                tries,
            });
            return true;
        }
        let hop = dialog.next_hop();
        let mut draft = self.draft_on(session, dialog, Method::Update, session.cseq + 1);
        draft.headers = vec![
            (
                Name::Allow.as_str().to_owned(),
                self.served.allow().to_owned(),
            ),
            (
                Name::Supported.as_str().to_owned(),
                supported(session.timers.is_known(), false).to_owned(),
            ),
            (
                Name::UserAgent.as_str().to_owned(),
                self.config.user_agent.clone(),
            ),
        ];
        draft.body = Some((SDP.to_owned(), body.clone()));
        session.cseq += 1;
        session.local_sdp = Some(body);
        let credentials = session.credentials.clone();
        let sent = self.start(
            now,
            Box::new(draft),
            hop,
            ClientOwner::Offer(id),
            credentials,
        );
        if let Ok(tx) = sent {
            session.offer = ours(now, tx, tries);
        }
        sent.is_ok()
    }

    /// The final response to an UPDATE of ours while its INVITE has none: whatever it is, the call is not
    /// over before the INVITE is.
    pub(super) fn on_early_outcome(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        (outcome, tries): (Outcome, u8),
    ) -> Fate {
        let status = outcome.status;
        let result = match (status, &outcome.response) {
            (200..=299, Some(response)) => {
                let remote = &outcome.draft.to;
                let mut forks = session.forks.iter_mut();
                if let Some(fork) = forks.find(|fork| fork.dialog.remote == *remote) {
                    fork.dialog.refresh_target(response);
                    fork.heard.answer = None;
                } else if let Some(dialog) = &mut session.dialog {
                    dialog.refresh_target(response);
                }
                Ok(sdp_of(response))
            }
            (401 | 407, Some(_)) => {
                let cseq = session.next_cseq();
                if let Some(tx) = self.with_credentials(now, outcome, cseq) {
                    session.offer = ours(now, tx, tries);
                    return Fate::Stays;
                }
                Err(status)
            }
            _ => {
                if let Some(until) = self.again_at(now, session, &outcome, tries) {
                    session.waiting = Some(Waiting {
                        until,
                        body: outcome.draft.body.map(|(_, body)| body),
                        is_refresh: false,
                        tries: tries + 1,
                    });
                    return Fate::Stays;
                }
                Err(status)
            }
        };
        self.event(Event::OfferAnswered {
            session: id,
            result,
        });
        Fate::Stays
    }

    /// Why an offer of the peer cannot be taken before the INVITE has its final response (§5.2): one of
    /// ours is not answered (491), or one of theirs (500).
    pub(super) fn refusal_of_early_offer(
        &self,
        session: &Session,
        request: &Message,
        later: String,
    ) -> Option<Reply> {
        let wait = Reply::new(500).with(Name::RetryAfter, later);
        if let Phase::Ringing { .. } = session.phase {
            return match &session.said {
                Some(said) if said.is_settled() => None,
                Some(said) if said.awaits() == Some(true) => Some(Reply::new(491)),
                _ => Some(wait),
            };
        }
        match heard_of(session, request) {
            Some(heard) if heard.owes_answer() => Some(wait),
            Some(heard) if heard.settled => None,
            _ => Some(Reply::new(491)),
        }
    }

    /// The 200 to an UPDATE or PRACK of the peer before the call is answered.
    pub(super) fn reply_early(&self, session: &Session, body: Option<Bytes>) -> Reply {
        let mut reply = Reply::new(200)
            .with(Name::Contact, session.contact.as_str())
            .with(Name::Allow, self.served.allow())
            .with(Name::Supported, supported(session.timers.is_known(), false));
        reply.body = body.map(|body| (SDP.to_owned(), body));
        reply
    }

    /// Forgets what is open in early dialogs that are over; an offer in the one that `stays` goes on.
    pub(super) fn close_early_offers(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        stays: Option<&Dialog>,
    ) {
        match session.offer {
            Offer::Ours { tx, .. } => {
                let to = self.clients.get(tx).and_then(|tx| tx.draft.as_ref());
                if stays.is_some_and(|dialog| to.is_some_and(|draft| draft.to == dialog.remote)) {
                    return;
                }
                self.abandon_unanswered(tx);
                session.offer = Offer::None;
                if !session.is_told() {
                    let result = Err(487);
                    self.event(Event::OfferAnswered {
                        session: id,
                        result,
                    });
                }
            }
            Offer::Theirs { tx, .. } => {
                let request = self.servers.get(tx).and_then(|tx| tx.request.as_ref());
                let from = request.and_then(|request| request.from().ok()?.tag());
                if stays.is_some_and(|dialog| from == Some(dialog.remote_tag.as_str())) {
                    return;
                }
                session.offer = Offer::None;
                self.reply(now, tx, &Reply::new(487));
            }
            Offer::None | Offer::Unanswered { .. } => {}
        }
    }
}

/// The early dialog that may carry an offer of ours, and whether nothing is to be waited for in it.
fn ready(session: &Session) -> Option<(&Dialog, bool)> {
    match session.phase {
        Phase::Inviting { .. } => {
            let mut latest = session.forks.iter().rev();
            let fork = latest.find(|fork| fork.heard.settled && fork.heard.takes_update)?;
            Some((&fork.dialog, fork.heard.is_quiet()))
        }
        Phase::Ringing { .. } => {
            // Once our part of the exchange is said, an offer waits for its PRACK.
            let said = session.said.as_ref()?;
            let may_wait = said.is_settled() || said.awaits().is_some();
            let dialog = session.dialog.as_ref();
            let dialog = dialog.filter(|_| may_wait && session.peer_takes_update)?;
            Some((dialog, said.is_settled()))
        }
        _ => None,
    }
}

/// What was heard in the early dialog of ours that a request of the peer belongs to.
fn heard_of<'a>(session: &'a Session, request: &Message) -> Option<&'a Heard> {
    let tag = request.from().ok()?.tag().unwrap_or_default();
    let mut forks = session.forks.iter();
    Some(&forks.find(|fork| fork.dialog.remote_tag == tag)?.heard)
}

/// How soon an offer that a PRACK holds up is tried again.
const SOON: Duration = Duration::from_millis(100);
