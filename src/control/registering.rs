//! Our registrations with carriers: each machine's REGISTERs are sent, their answers brought.

use std::sync::Arc;

use clock::{Duration, Now};
use sip::message::{Message, Method, Name};
use sip::ua::{OutOfDialog, RequestId};

use super::{Control, What};
use crate::trunk::{Register, Registered, Registration, TrunkConfig, locate};

impl Control {
    /// Makes the registrations be those of the configuration. One whose section has changed begins
    /// anew; one that is no longer wanted is taken back.
    pub(super) fn configure_registrations(&mut self, now: Now) {
        let trunks: Vec<_> = self.trunks.trunks().map(|(it, _)| it.clone()).collect();
        let wanted = |name: &str| {
            let trunk = trunks.iter().find(|trunk| trunk.name == name);
            trunk.and_then(|trunk| trunk.registration.as_ref())
        };
        let held: Vec<String> = self.carriers.registrations.keys().cloned().collect();
        for name in held {
            let same = self.carriers.registrations.get(&name);
            if same.is_some_and(|it| wanted(&name) == Some(it.config())) {
                continue;
            }
            if let Some(mut gone) = self.carriers.registrations.remove(&name)
                && let Some(register) = gone.leave(now)
                && let Some(trunk) = trunks.iter().find(|trunk| trunk.name == name)
            {
                let config = gone.config().clone();
                self.send_register(now, trunk, &config, register);
            }
        }
        for trunk in &trunks {
            if let Some(config) = &trunk.registration
                && !self.carriers.registrations.contains_key(&trunk.name)
            {
                let made = Registration::new(now, config.clone(), self.random.next());
                self.carriers.registrations.insert(trunk.name.clone(), made);
            }
        }
    }

    /// Sends what is due, notes what has lapsed; takes all back when the server goes down.
    pub(super) fn keep_registrations(&mut self, now: Now) {
        let names: Vec<String> = self.carriers.registrations.keys().cloned().collect();
        for name in names {
            let Some(trunk) = self.trunks.trunk(&name).cloned() else {
                continue;
            };
            let leaving = self.carriers.leaving;
            let Some(registration) = self.carriers.registrations.get_mut(&name) else {
                continue;
            };
            let lapsed = registration.lapse(now);
            let register = if leaving {
                registration.leave(now)
            } else {
                registration.due(now)
            };
            let config = registration.config().clone();
            if lapsed {
                self.tell_registration(now, &name);
            }
            if let Some(register) = register
                && !self.send_register(now, &trunk, &config, register)
            {
                self.registered(now, &name, silence());
            }
        }
        self.carriers.leaving = false;
    }

    /// Sends one REGISTER; `false` if it cannot be.
    fn send_register(
        &mut self,
        now: Now,
        trunk: &Arc<TrunkConfig>,
        config: &crate::trunk::RegistrationConfig,
        register: Register,
    ) -> bool {
        let (speaks, names) = (&self.carriers.speaks, &mut self.carriers.names);
        let random = &mut || self.random.next();
        let found = locate(now, &config.registrar, speaks, names, random);
        self.ask_names();
        let flow = found
            .targets
            .iter()
            .find_map(|it| self.flow_to_host(&trunk.name, &config.registrar.host, *it));
        let Some(flow) = flow else { return false };
        let account = trunk.credentials.as_ref().map(|it| it.user.clone());
        let user = account.or_else(|| config.contact_user.clone());
        let user = user.unwrap_or_else(|| "tandem".to_owned());
        let address = format!(
            "<sip:{}@{}>",
            sip::message::escape_user(&user),
            config.registrar.host
        );
        let header = |name: Name, value: String| (name.as_str().to_owned(), value);
        let request = OutOfDialog {
            method: Method::Register,
            request_uri: format!("sip:{}", config.registrar.uri_tail()),
            flow,
            from: address.clone(),
            to: address,
            contact_user: Some(config.contact_user.clone().unwrap_or(user)),
            headers: vec![
                header(Name::CallId, register.call_id),
                header(Name::CSeq, register.cseq.to_string()),
                header(Name::Expires, register.expires_secs.to_string()),
            ],
            body: None,
            credentials: self.credentials_of(trunk, flow),
        };
        match self.ua.request(now, request) {
            Ok(id) => {
                self.carriers.registers.insert(id, trunk.name.clone());
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the answer to a REGISTER of ours; `false` if it is none.
    pub(super) fn on_register_response(
        &mut self,
        now: Now,
        request: RequestId,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let Some(trunk) = self.carriers.registers.remove(&request) else {
            return false;
        };
        let secs = |name| {
            let text = response.and_then(|response| response.header(name))?;
            text.trim().parse().ok().map(Duration::from_secs)
        };
        let answer = Registered {
            status,
            granted: response
                .and_then(contact_expires)
                .or_else(|| secs(Name::Expires)),
            least: secs(Name::MinExpires),
        };
        self.registered(now, &trunk, answer);
        true
    }

    fn registered(&mut self, now: Now, trunk: &str, answer: Registered) {
        let lot = self.random.next();
        let Some(registration) = self.carriers.registrations.get_mut(trunk) else {
            return;
        };
        let (changed, again) = registration.on_response(now, answer, lot);
        let config = registration.config().clone();
        if changed {
            self.tell_registration(now, trunk);
        }
        if let Some(register) = again
            && let Some(config_of) = self.trunks.trunk(trunk).cloned()
            && !self.send_register(now, &config_of, &config, register)
        {
            self.registered(now, trunk, silence());
        }
    }

    fn tell_registration(&mut self, now: Now, trunk: &str) {
        if let Some(registration) = self.carriers.registrations.get(trunk) {
            let (state, _, why) = registration.state();
            let what = What::Registration {
                trunk: trunk.to_owned(),
                state,
                why: why.to_owned(),
            };
            self.tell(now, what);
        }
    }

    /// Whether calls by the trunk have to be refused because we are not registered there.
    pub(super) fn lacks_registration(&self, now: Now, trunk: &str) -> bool {
        let registration = self.carriers.registrations.get(trunk);
        registration.is_some_and(|it| it.config().refuses && !it.stands(now))
    }
}

/// A REGISTER that could not be sent is one that nobody answered.
const fn silence() -> Registered {
    Registered {
        status: 408,
        granted: None,
        least: None,
    }
}

/// The time that the registrar gives our binding (RFC 3261 §10.2.4). Several contacts are those of
/// other devices of the account: the shortest is refreshed in time for all.
fn contact_expires(response: &Message) -> Option<Duration> {
    let given = response.contacts().filter_map(Result::ok);
    let secs = given.filter_map(|contact| contact.params.get("expires")?.parse().ok());
    secs.filter(|secs| *secs > 0).min().map(Duration::from_secs)
}
