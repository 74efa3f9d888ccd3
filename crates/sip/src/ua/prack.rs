//! Reliable provisional responses to our INVITE, and the PRACKs that acknowledge them (RFC 3262 §4, §5).
//!
//! ```text
//!   1xx with RSeq ──next in order──► PRACK at once            ──200──► done
//!        │                 └─with an offer, or by the user's wish─► acknowledge ──► PRACK with a body
//!        └─repeated, or ahead of its turn──► dropped: it comes again
//! ```

use super::UserAgent;
use super::client_invite::sdp_of;
use super::draft::SDP;
use super::event::{Event, Reliable, SessionId};
use super::layer::{ClientOwner, Outcome};
use super::offers::ours;
use super::session::{Fate, Offer, Session};
use crate::message::{Message, Method, Name};
use bytes::Bytes;
use clock::Now;

/// How far the reliable responses and the offers of one early dialog of ours are.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The RSeq of the latest that was taken; the next is one more.
    rseq: Option<u32>,
    /// One whose PRACK the user words.
    waiting: Option<Waits>,
    /// PRACKs that await their 200.
    open: u8,
    /// The exchange that the INVITE began is complete: further offers may be made.
    pub(super) settled: bool,
    /// Their answer in it.
    pub(super) answer: Option<Bytes>,
    pub(super) takes_update: bool,
}

#[derive(Debug)]
struct Waits {
    rack: String,
    has_offer: bool,
}

/// What is to be done about a provisional response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heed {
    /// Nothing: it was told before, or its turn has not come.
    Drop,
    Tell {
        needs_answer: bool,
    },
}

impl Heard {
    /// Whether a request of ours may overtake nothing that its dialog still waits for.
    pub(super) fn is_quiet(&self) -> bool {
        self.open == 0 && self.waiting.is_none()
    }

    /// Whether their offer awaits our answer in a PRACK.
    pub(super) fn owes_answer(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waits| waits.has_offer)
    }

    /// What a 2xx says of the exchange that the INVITE began, `said` being its own description.
    pub(super) fn last_word(self, said: Option<Bytes>) -> Option<Bytes> {
        if self.settled { self.answer } else { said }
    }
}

impl UserAgent {
    /// Takes a provisional response in an early dialog; sends its PRACK, if it wants one at once.
    pub(super) fn heed(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        (fork, tx): (usize, u64),
        response: &Message,
    ) -> Heed {
        let mode = session.reliable;
        let draft = self.clients.get(tx).and_then(|tx| tx.draft.as_ref());
        let has_offered = draft.is_none_or(|draft| draft.body.is_some());
        let Some(heard) = session.forks.get_mut(fork).map(|fork| &mut fork.heard) else {
            return Heed::Tell {
                needs_answer: false,
            };
        };
        heard.takes_update |= response.allows(Method::Update);
        let Some(rseq) = rseq_of(response).filter(|_| mode != Reliable::No) else {
            return Heed::Tell {
                needs_answer: false,
            };
        };
        let is_next = heard
            .rseq
            .is_none_or(|last| last.checked_add(1) == Some(rseq));
        let (true, None, Ok(cseq)) = (is_next, &heard.waiting, response.cseq()) else {
            return Heed::Drop;
        };
        heard.rseq = Some(rseq);
        let rack = format!("{rseq} {} {}", cseq.number, cseq.method_str);
        let body = sdp_of(response);
        let has_offer = !has_offered && !heard.settled && body.is_some();
        if has_offered && !heard.settled && body.is_some() {
            heard.settled = true;
            heard.answer = body;
        }
        let needs_answer = has_offer || mode == Reliable::ByUser;
        if needs_answer {
            heard.waiting = Some(Waits { rack, has_offer });
        } else {
            self.send_prack(now, id, session, fork, (rack, None));
        }
        Heed::Tell { needs_answer }
    }

    /// The user's word on a reliable response: the answer to its offer, an offer, or nothing.
    pub(super) fn word_prack(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        body: Option<Bytes>,
    ) {
        let mut forks = session.forks.iter_mut();
        let Some(fork) = forks.position(|fork| fork.heard.waiting.is_some()) else {
            return;
        };
        let Some(heard) = session.forks.get_mut(fork).map(|fork| &mut fork.heard) else {
            return;
        };
        let Some(waits) = heard.waiting.take() else {
            return;
        };
        if body.is_some() {
            session.local_sdp.clone_from(&body);
        }
        if waits.has_offer {
            heard.settled = body.is_some();
            self.send_prack(now, id, session, fork, (waits.rack, body));
            return;
        }
        // An offer before the first exchange is complete, or beside another, would be a second one.
        let is_free = heard.settled && matches!(session.offer, Offer::None);
        if body.is_some() && !is_free {
            let result = Err(491);
            self.event(Event::OfferAnswered {
                session: id,
                result,
            });
        }
        let offer = body.filter(|_| is_free);
        let makes_offer = offer.is_some();
        let sent = self.send_prack(now, id, session, fork, (waits.rack, offer));
        if let Some(tx) = sent.filter(|_| makes_offer) {
            session.offer = ours(now, tx, 0);
        }
    }

    fn send_prack(
        &mut self,
        now: Now,
        id: SessionId,
        session: &mut Session,
        fork: usize,
        (rack, body): (String, Option<Bytes>),
    ) -> Option<u64> {
        let cseq = session.next_cseq();
        let dialog = &session.forks.get(fork)?.dialog;
        let hop = dialog.next_hop();
        let mut draft = self.draft_on(session, dialog, Method::Prack, cseq);
        draft.contact = None;
        draft.headers = vec![
            (Name::RAck.as_str().to_owned(), rack),
            (
                Name::UserAgent.as_str().to_owned(),
                self.config.user_agent.clone(),
            ),
        ];
        draft.body = body.map(|body| (SDP.to_owned(), body));
        let credentials = session.credentials.clone();
        // At the limit of transactions it goes unsaid: the response comes again, the call may fail.
        let sent = self.start(
            now,
            Box::new(draft),
            hop,
            ClientOwner::Prack(id),
            credentials,
        );
        if let Some(fork) = session.forks.get_mut(fork).filter(|_| sent.is_ok()) {
            fork.heard.open = fork.heard.open.saturating_add(1);
        }
        sent.ok()
    }

    /// The final response to a PRACK. A refusal matters only to the offer in it: whether the call stands
    /// is for the INVITE's own final response to say.
    pub(super) fn on_prack_outcome(&mut self, now: Now, id: SessionId, outcome: Outcome) {
        self.change(id, |ua, session| {
            let (status, has_offer) = (
                outcome.status,
                matches!(session.offer, Offer::Ours { tx, .. } if tx == outcome.tx),
            );
            let answer = outcome.response.as_ref().and_then(sdp_of);
            let to = outcome.draft.to.clone();
            if matches!(status, 401 | 407) && !session.is_told() {
                let cseq = session.next_cseq();
                if let Some(tx) = ua.with_credentials(now, outcome, cseq) {
                    if has_offer {
                        session.offer = ours(now, tx, 0);
                    }
                    return Fate::Stays;
                }
            }
            let mut forks = session.forks.iter_mut();
            if let Some(fork) = forks.find(|fork| fork.dialog.remote == to) {
                fork.heard.open = fork.heard.open.saturating_sub(1);
                if has_offer && status < 300 {
                    fork.heard.answer = None;
                }
            }
            if has_offer {
                session.offer = Offer::None;
            }
            if has_offer && !session.is_told() {
                let result = if status < 300 {
                    Ok(answer)
                } else {
                    Err(status)
                };
                ua.event(Event::OfferAnswered {
                    session: id,
                    result,
                });
            }
            Fate::Stays
        });
    }
}

/// The RSeq of a response that is sent reliably.
fn rseq_of(response: &Message) -> Option<u32> {
    let rseq = response.rseq().ok().flatten().filter(|rseq| *rseq > 0);
    rseq.filter(|_| response.lists(Name::Require, "100rel"))
}
