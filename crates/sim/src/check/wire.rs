//! Laws of the wire: one final response for each INVITE, one ACK for each final response, nothing
//! after the end (RFC 3261 §9.1, §13, §15, §17).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use clock::{Duration, Now};
use sip::message::{Message, Method, NameAddr};

use super::Side;

/// A message as far as the checkers look into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Of the request, or of the request that is answered.
    pub(crate) method: Option<Method>,
    /// Of a response; 0 in a request.
    pub(crate) status: u16,
    pub(crate) call: u64,
    pub(crate) cseq: u32,
    /// Of all bytes.
    whole: u64,
    /// Whether the request stands in a dialog.
    pub(crate) inside: bool,
}

impl Seen {
    pub(crate) fn of(bytes: &Bytes) -> Option<Self> {
        let message = Message::parse(bytes.clone()).ok()?;
        let cseq = message.cseq().ok()?;
        let mut call = DefaultHasher::new();
        message.call_id().ok()?.hash(&mut call);
        let mut whole = DefaultHasher::new();
        bytes.hash(&mut whole);
        let tagged = |to: NameAddr<'_>| to.tag().is_some();
        Some(Self {
            method: Some(cseq.method),
            status: message.status().unwrap_or(0),
            call: call.finish(),
            cseq: cseq.number,
            whole: whole.finish(),
            inside: message.is_request() && message.to().is_ok_and(tagged),
        })
    }

    fn is(&self, method: Method) -> bool {
        self.method == Some(method)
    }
}

/// One INVITE: whether the server sent it is part of its name, and the phone at the other end, for a proxy may
/// fork it to several.
type Key = (u64, u32, bool, usize);

#[derive(Debug)]
struct Invite {
    host: usize,
    whole: u64,
    arrived: bool,
    provisional_arrived: bool,
    /// Status and bytes of the final response.
    last: Option<(u16, u64)>,
    last_arrived: bool,
    ack: Option<u64>,
    cancelled: bool,
    inside: bool,
    sent_at: Now,
    last_arrived_at: Option<Now>,
}

/// All INVITEs and BYEs of a world.
#[derive(Debug, Default)]
pub(super) struct Wire {
    invites: BTreeMap<Key, Invite>,
    byes: BTreeMap<(u64, bool, usize), u64>,
}

impl Wire {
    pub(super) fn sent(&mut self, now: Now, by: Side, host: usize, seen: &Seen) -> Option<String> {
        let ours = by == Side::Server;
        let who = if ours { "the server" } else { "a phone" };
        if seen.status > 0 {
            return self.responded(ours, (who, host), seen);
        }
        let key = (seen.call, seen.cseq, ours, host);
        if seen.is(Method::Invite) {
            let invite = self.invites.entry(key).or_insert(Invite {
                host,
                whole: seen.whole,
                arrived: false,
                provisional_arrived: false,
                last: None,
                last_arrived: false,
                ack: None,
                cancelled: false,
                inside: seen.inside,
                sent_at: now,
                last_arrived_at: None,
            });
            if invite.whole != seen.whole {
                return Some(format!("{who} sent an INVITE again with other bytes"));
            }
            if invite.last_arrived {
                return Some(format!(
                    "{who} sent an INVITE again after its final response"
                ));
            }
            return None;
        }
        if seen.is(Method::Bye) {
            let before = self.byes.entry((seen.call, ours, host));
            let before = *before.or_insert(seen.whole);
            let again = before != seen.whole;
            return again.then(|| format!("{who} sent two different BYEs in one dialog"));
        }
        let invite = self.invites.get_mut(&key)?;
        if seen.is(Method::Ack) {
            if !invite.last_arrived {
                return Some(format!("{who} sent an ACK for a response that never came"));
            }
            let before = *invite.ack.get_or_insert(seen.whole);
            let again = before != seen.whole;
            return again.then(|| format!("{who} sent two different ACKs for one INVITE"));
        }
        if seen.is(Method::Cancel) && !invite.cancelled {
            invite.cancelled = true;
            if !invite.provisional_arrived {
                return Some(format!("{who} sent CANCEL before any provisional response"));
            }
            if invite.last_arrived {
                return Some(format!("{who} sent CANCEL after the final response"));
            }
        }
        None
    }

    fn responded(&mut self, ours: bool, (who, host): (&str, usize), seen: &Seen) -> Option<String> {
        if !seen.is(Method::Invite) {
            return None;
        }
        let Some(invite) = self.invites.get_mut(&(seen.call, seen.cseq, !ours, host)) else {
            return Some(format!("{who} answered an INVITE that nobody sent"));
        };
        if !invite.arrived {
            return Some(format!("{who} answered an INVITE that never came"));
        }
        let this = (seen.status, seen.whole);
        match invite.last {
            Some(_) if seen.status < 200 => Some(format!(
                "{who} sent {} after the final response",
                seen.status
            )),
            // A challenge is stateless: each copy of the INVITE gets one with a nonce of its own.
            Some((401, _)) if seen.status == 401 => None,
            Some(last) if last != this => Some(format!(
                "{who} gave two final responses to one INVITE: {} and {}",
                last.0, seen.status
            )),
            _ => {
                if seen.status >= 200 {
                    invite.last = Some(this);
                }
                None
            }
        }
    }

    pub(super) fn arrived(&mut self, now: Now, at: Side, host: usize, seen: &Seen) {
        // An INVITE comes from the other side, a response answers what we sent.
        let ours = at == Side::Server;
        let sent_by_server = if seen.status > 0 { ours } else { !ours };
        if !seen.is(Method::Invite) {
            return;
        }
        let Some(invite) = self
            .invites
            .get_mut(&(seen.call, seen.cseq, sent_by_server, host))
        else {
            return;
        };
        match seen.status {
            0 => invite.arrived = true,
            100..=199 => invite.provisional_arrived = true,
            _ => {
                invite.last_arrived = true;
                invite.last_arrived_at.get_or_insert(now);
            }
        }
    }

    pub(super) fn end(&self, crashed: &impl Fn(usize) -> bool) -> Vec<String> {
        let mut broken = Vec::new();
        for ((call, cseq, by_server, _), invite) in &self.invites {
            // A phone that is gone owes nothing.
            let gone = crashed(invite.host);
            let (caller, callee) = if *by_server {
                ("the server", "the phone")
            } else {
                ("the phone", "the server")
            };
            let host = invite.host;
            if invite.arrived && invite.last.is_none() && !gone {
                broken.push(format!(
                    "{callee} never answered INVITE {cseq} (host {host})"
                ));
            }
            // A 2xx to a re-INVITE that crosses the BYE: its dialog is over, so is its repetition.
            let over = [false, true]
                .iter()
                .any(|by| self.byes.contains_key(&(*call, *by, host)));
            let moot = over && invite.inside && invite.last.is_some_and(|last| last.0 < 300);
            // What comes when the INVITE was given up long ago finds nobody; a 2xx ends with the callee's
            // BYE, a refusal with its own patience.
            let late = invite
                .last_arrived_at
                .is_some_and(|at| at - invite.sent_at > GIVEN_UP);
            let refused = invite.last.is_some_and(|last| last.0 >= 300);
            let moot = moot || (late && (over || refused));
            if invite.last_arrived && invite.ack.is_none() && (*by_server || !gone) && !moot {
                broken.push(format!(
                    "{caller} never acknowledged {:?} of INVITE {cseq} (host {host})",
                    invite.last.map(|it| it.0)
                ));
            }
        }
        broken
    }
}

/// 64·T1: as long as an INVITE that nobody answers is remembered (RFC 3261 §17.1.1.2).
const GIVEN_UP: Duration = Duration::from_secs(32);
