//! Who proves to be somebody by a token: `Authorization: Bearer …` (RFC 8898 §2.1, §2.2).
//!
//! The law: on a connection alone. A datagram's source may be forged, and a token, unlike a digest, proves
//! nothing of where its bearer is. What is not good is answered with one challenge whatever the reason.

use std::sync::Arc;

use clock::Now;
use sip::message::{Message, Method, Name, Uri};
use sip::transport::{Flow, Transport};

use super::admission::Trunks;
use super::file::EndpointConfig;
use super::fraud::Limits;
use super::handling::Handling;
use super::identity::user_of;
use super::proving::Proven;
use super::secrets::Digests;
use crate::access::{Access, Denied, Kind, Roll, Subject};

/// Whoever has shown a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    subject: Box<Subject>,
    /// Until when the token is good.
    pub until: Now,
}

impl Guest {
    /// Whether it is a click: a call from outside, with one entry open to it.
    pub fn is_click(&self) -> bool {
        self.subject.kind == Kind::Click
    }
}

/// What tokens are verified with, and who still is somebody.
#[derive(Clone, Debug, Default)]
pub(super) struct Bearers {
    access: Option<Access>,
    roll: Roll,
    click_calls: u32,
}

impl Trunks {
    /// Takes tokens from now on, and at most so many calls at once of clicks.
    pub fn set_access(&mut self, access: Access, click_calls: u32) {
        self.bearers.access = Some(access);
        self.bearers.click_calls = click_calls;
    }

    /// Who still is somebody.
    pub fn roll(&self) -> &Roll {
        &self.bearers.roll
    }

    /// The same, to be changed.
    pub fn roll_mut(&mut self) -> &mut Roll {
        &mut self.bearers.roll
    }

    /// Whoever the token of a request was made for.
    pub(super) fn guest(&self, now: Now, request: &Message, token: &str) -> Result<Proven, Denied> {
        let bearers = &self.bearers;
        let access = bearers.access.as_ref().ok_or(Denied::Forged)?;
        let wall = self.ledger.wall(now);
        let subject = access.verify(token, wall)?;
        bearers.roll.stands(&subject)?;
        let endpoint = match &subject.entry {
            None => self.endpoint(&subject.endpoint).cloned(),
            Some(entry) if is_call_to(request, entry) => Some(bearers.visitor(&subject)),
            Some(_) => return Err(Denied::Misplaced),
        };
        let endpoint = endpoint.ok_or(Denied::Ended)?;
        let left = subject.expires.duration_since(wall).unsigned_abs();
        let subject = Box::new(subject);
        let until = now + left;
        Ok(Proven::Guest(endpoint, Guest { subject, until }))
    }

    /// A click is good for one call: this one. `Some` if it is not good even for that.
    pub(super) fn spend(&mut self, now: Now, guest: &Guest) -> Option<Denied> {
        let wall = self.ledger.wall(now);
        let spent = !guest.is_click() || self.bearers.roll.spend(wall, &guest.subject);
        (!spent).then_some(Denied::Spent)
    }
}

impl Bearers {
    /// Whoever has clicked, as an endpoint: it registers nowhere, and hands nobody on.
    fn visitor(&self, subject: &Subject) -> Arc<EndpointConfig> {
        Arc::new(EndpointConfig {
            name: VISITOR.to_owned(),
            secrets: None,
            sources: Vec::new(),
            codecs: Vec::new(),
            contacts_max: 0,
            contact: None,
            caller_id: Some(subject.endpoint.clone()),
            limits: Limits {
                calls: Some(self.click_calls),
                ..Limits::default()
            },
            handling: Handling {
                refer: false,
                ..Handling::ENDPOINT
            },
        })
    }
}

/// The token that a request shows, where one may.
pub(super) fn token_of(request: &Message, flow: Flow) -> Option<&str> {
    if flow.transport == Transport::Udp {
        return None;
    }
    let mut values = request.headers(Name::Authorization);
    values.find_map(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    })
}

fn is_call_to(request: &Message, entry: &str) -> bool {
    let uri = Uri::parse(request.request_uri().unwrap_or_default());
    let called = uri.ok().and_then(|uri| user_of(&uri));
    request.method() == Some(Method::Invite) && called.as_deref() == Some(entry)
}

/// How credentials of the API prove themselves by digest: to browsers too, which take the last.
pub const GENERATED_DIGESTS: Digests = Digests::Both;

/// Whoever has clicked: a name that no endpoint can have.
const VISITOR: &str = "~click";
