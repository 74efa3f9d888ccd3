//! Whoever is no longer anybody is put out: his calls end, his registrations are forgotten, his
//! connections are closed.
//!
//! An endpoint ends when it is removed, when the telephony credential that it is ends, and when its agent
//! gets another password or none: then its pages go, and a telephone of the same name stays.

use std::collections::HashMap;

use clock::Now;
use sip::transport::{ConnectionId, Flow};

use super::{Control, Output, Refusal};
use crate::access::{Credential, Login, Subject};
use crate::call::CallId;
use crate::trunk::EndpointConfig;

/// Who has proven to be on which connection. The end of a connection forgets it.
#[derive(Debug, Default)]
pub(super) struct Holders(HashMap<ConnectionId, (Flow, Box<str>)>);

/// What of an endpoint is put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// All that it has.
    Endpoint,
    /// What it has by a browser.
    Pages,
}

impl Holders {
    pub(super) fn note(&mut self, flow: Flow, endpoint: &str) {
        let Some(connection) = flow.connection else {
            return;
        };
        let known = self.0.get(&connection);
        if known.is_some_and(|(_, holder)| **holder == *endpoint) || self.0.len() >= HOLDERS_MAX {
            return;
        }
        self.0.insert(connection, (flow, endpoint.into()));
    }

    pub(super) fn forget(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.0.remove(&connection);
        }
    }

    /// The connections of an endpoint, which are nobody's from now on.
    fn take(&mut self, endpoint: &str, of: Of) -> Vec<Flow> {
        let theirs = |_: &ConnectionId, (flow, holder): &mut (Flow, Box<str>)| {
            **holder == *endpoint && (of == Of::Endpoint || flow.transport.is_web())
        };
        let taken = self.0.extract_if(theirs);
        taken.map(|(_, (flow, _))| flow).collect()
    }
}

impl Control {
    /// Admits a credential's endpoint, or has the credential end at another time.
    pub fn put_credential(&mut self, now: Now, credential: Credential, endpoint: EndpointConfig) {
        let ended = credential
            .ends
            .is_some_and(|ends| ends <= self.wall.at(now));
        if ended {
            self.end_credential(now, &credential.id);
            return;
        }
        self.trunks.roll_mut().put(credential);
        self.put_endpoint(endpoint);
    }

    /// Ends a credential, and puts out whoever is there by it; `false` if there is none of that id.
    pub fn end_credential(&mut self, now: Now, id: &str) -> bool {
        let Some(ended) = self.trunks.roll_mut().remove(id) else {
            return false;
        };
        self.remove_endpoint(now, &ended.endpoint);
        true
    }

    /// Ends the credentials whose time is over.
    pub(super) fn end_credentials(&mut self, now: Now) {
        let wall = self.wall.at(now);
        while let Some(ended) = self.trunks.roll_mut().pop_ended(wall) {
            self.remove_endpoint(now, &ended.endpoint);
        }
    }

    /// When the next one's is.
    pub(super) fn credentials_deadline(&self) -> Option<Now> {
        let ends = self.trunks.roll().deadline()?;
        Some(self.wall.when(ends))
    }

    /// A token, and those made from it, are good for nothing from now on, and the pages of its endpoint go.
    pub fn log_out(&mut self, now: Now, subject: &Subject) {
        let wall = self.wall.at(now);
        // Where there is no room to remember it, it ends by its own time; the pages go all the same.
        self.trunks.roll_mut().spend(wall, subject);
        self.expel(now, &subject.endpoint, Of::Pages);
    }

    /// Puts other agents' passwords in force; the pages of whoever had another go.
    pub(super) fn set_logins(&mut self, now: Now, logins: &[Login]) {
        for endpoint in self.trunks.roll_mut().set_logins(logins.iter()) {
            self.expel(now, &endpoint, Of::Pages);
        }
    }

    /// Puts an endpoint out. Its calls are told first, while there is a way to tell them.
    pub(super) fn expel(&mut self, now: Now, endpoint: &str, of: Of) {
        let with: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, slot)| slot.call.endpoints().any(|it| it == endpoint))
            .map(|(call, _)| *call)
            .collect();
        for call in with {
            let Some(slot) = self.calls.get_mut(&call) else {
                continue;
            };
            if slot.call.expel(now, endpoint, of == Of::Pages) {
                let endpoint = endpoint.to_owned();
                self.trouble(now, call, &Refusal::EndpointEnded { endpoint });
            }
            self.dirty.push_back(call);
        }
        self.pump(now);
        let flows = self.holders.take(endpoint, of);
        for &flow in &flows {
            self.registrar.flow_failed(now, flow);
        }
        if of == Of::Endpoint {
            self.registrar.forget(endpoint);
        }
        self.pump(now);
        let closes = flows.into_iter().map(|flow| Output::Close { flow });
        self.outputs.extend(closes);
    }
}

/// More than connections may be open at once.
const HOLDERS_MAX: usize = 65_536;
