//! Which requests are served: what Allow says, and what gets 405, 420 or 489 (RFC 3261 §8.2.1, §20.5, RFC 6665
//! §4.2.1.1).

use super::config::UserAgentConfig;
use super::draft::{EXTENSIONS, METHODS, SDP};
use super::reply::Reply;
use crate::message::{Accepts, Message, Method, Name};

/// What a user agent serves, as its configuration says.
#[derive(Debug)]
pub(super) struct Served {
    methods: Vec<Method>,
    allow: String,
    packages: Vec<String>,
}

impl Served {
    pub(super) fn new(config: &UserAgentConfig) -> Self {
        let mut methods = METHODS.to_vec();
        if config.messages {
            methods.push(Method::Message);
        }
        if !config.event_packages.is_empty() {
            methods.push(Method::Subscribe);
        }
        let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
        Self {
            allow: names.join(", "),
            methods,
            packages: config.event_packages.clone(),
        }
    }

    /// The value of Allow.
    pub(super) fn allow(&self) -> &str {
        &self.allow
    }

    /// What we take of a request. Offers must be SDP; of other bodies our user judges. A call is passed on
    /// to another leg, so its hops count (RFC 7332 §3).
    pub(super) fn accepts(&self, request: &Message) -> Accepts<'_> {
        let method = request.method();
        let is_offer = matches!(
            method,
            Some(Method::Invite | Method::Update | Method::Prack)
        );
        Accepts {
            methods: &self.methods,
            extensions: &EXTENSIONS,
            bodies: if is_offer { Some(&[SDP]) } else { None },
            tel: true,
            passes_on: method == Some(Method::Invite),
        }
    }

    /// Why a subscription is refused: nobody here publishes what it asks for.
    pub(super) fn refusal_of_event(&self, request: &Message) -> Option<Reply> {
        if request.method() != Some(Method::Subscribe) {
            return None;
        }
        let asked = request.event().ok().flatten().map(|event| event.label);
        let is_known = asked.is_some_and(|asked| self.packages.iter().any(|known| known == asked));
        let refusal = Reply::new(489).with(Name::AllowEvents, self.packages.join(", "));
        (!is_known).then_some(refusal)
    }
}
