//! A carrier's other address, which nobody's phone answers: silent, refusing or redirecting.

use bytes::Bytes;
use sip::message::{Builder, Message, Method, Name};
use sip::transport::Flow;

use super::{Task, World};
use crate::stage::{CARRIER, OTHER};
use crate::swarm::Carrier;

impl World<'_> {
    /// A message that the server sends to the carrier's other address.
    pub(super) fn at_other(&mut self, flow: Flow, bytes: &Bytes) {
        if flow.remote != OTHER {
            return self
                .checks
                .word(format!("a message to nobody at {}", flow.remote));
        }
        self.checks
            .word(format!("the other address hears {} bytes", bytes.len()));
        let Some(request) = Message::parse(bytes.clone())
            .ok()
            .filter(Message::is_request)
        else {
            return;
        };
        let answer = match (self.swarm.carrier, request.method()) {
            (Some(Carrier::Refuses(status)), Some(Method::Invite | Method::Options)) => {
                Builder::response(&request, status, "No").to_tag("other")
            }
            (Some(Carrier::Redirects), Some(Method::Invite)) => {
                let uri = request.request_uri().unwrap_or_default();
                let user = uri.split('@').next().unwrap_or("sip:x").to_owned();
                Builder::response(&request, 302, "Moved")
                    .to_tag("other")
                    .header(Name::Contact, &format!("<{user}@{CARRIER}>"))
            }
            _ => return,
        };
        if let Ok(answer) = answer.build() {
            let at = self.now + self.swarm.signalling.delay * 2;
            self.plan(at, Task::Carrier(flow, answer.bytes().clone()));
        }
    }
}
