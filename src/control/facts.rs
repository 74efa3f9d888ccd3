//! What is kept of a request that was refused: enough to find it again, no more.

use std::net::SocketAddr;

use sip::message::{Message, Method, Uri};
use sip::transport::{Flow, Transport};

use crate::explain::printable;

/// What a refused request said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Its method.
    pub method: String,
    /// The true source.
    pub source: SocketAddr,
    /// What it came by.
    pub transport: Transport,
    /// The SIP Call-ID.
    pub sip_call_id: String,
    /// The user of From.
    pub from: String,
    /// The user of the Request-URI.
    pub to: String,
}

impl RequestFacts {
    pub(super) fn of(request: &Message, flow: Flow) -> Self {
        let user = |uri: &Uri<'_>| uri.user_name().map(|user| printable(&user));
        let from = request.from().ok().and_then(|from| user(&from.uri));
        let uri = Uri::parse(request.request_uri().unwrap_or_default()).ok();
        let call_id = request.call_id().unwrap_or_default();
        Self {
            method: printable(request.method_str().unwrap_or_default()),
            source: flow.remote,
            transport: flow.transport,
            sip_call_id: call_id.chars().take(CALL_ID_MAX).collect(),
            from: from.unwrap_or_default(),
            to: uri.as_ref().and_then(user).unwrap_or_default(),
        }
    }

    pub(super) fn is_call(&self) -> bool {
        self.method == Method::Invite.as_str()
    }
}

/// Characters of a SIP Call-ID: longer ones are found by their beginning alone.
const CALL_ID_MAX: usize = 128;
