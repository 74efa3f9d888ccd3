//! A line's registration: asked for, and kept fresh at half of the time that is granted (RFC 3261 §10.2.4).
//!
//! ```text
//!   Off ── register ──▶ Asked ── 200 ──▶ On ── half of its time ──▶ Asked …
//!    ▲                    └── any other ──▶ Off, and the face is told
//!    └───── unregister ────────────────────┘
//! ```

use clock::{Duration, Now};
use sip::auth::Credentials;
use sip::message::{Message, Method, Name};
use sip::ua::{OutOfDialog, RequestId};

use super::config::{LineConfig, Proof};
use super::event::Event;
use super::{Line, LineError};

/// Where it stands.
#[derive(Debug)]
pub(super) struct Registration {
    call_id: String,
    cseq: u32,
    state: State,
    /// The face has been told that it is registered.
    told: bool,
}

#[derive(Debug)]
enum State {
    Off,
    Asked(RequestId),
    On { refresh_at: Now },
}

impl Registration {
    pub(super) fn new(config: &LineConfig) -> Self {
        Self {
            call_id: format!("{:016x}@{}", config.seed.rotate_right(9), config.own_host()),
            cseq: 0,
            state: State::Off,
            told: false,
        }
    }

    pub(super) fn refresh_at(&self) -> Option<Now> {
        match self.state {
            State::On { refresh_at } => Some(refresh_at),
            State::Off | State::Asked(_) => None,
        }
    }
}

impl Line {
    /// Asks to be called here from now on, and to be known. [`Event::Registered`] or [`Event::Refused`]
    /// follows.
    ///
    /// # Errors
    /// [`LineError::Unwritable`]: a name, host or token that SIP cannot carry.
    pub fn register(&mut self, now: Now) -> Result<(), LineError> {
        let id = self.send_register(now, EXPIRES)?;
        self.registration.state = State::Asked(id);
        self.pump(now);
        Ok(())
    }

    /// Takes the registration back. Nothing follows; calls stand.
    pub fn unregister(&mut self, now: Now) {
        if !matches!(self.registration.state, State::Off) {
            // It would lapse with its connection all the same.
            let _ = self.send_register(now, Duration::ZERO);
            self.registration.state = State::Off;
            self.registration.told = false;
            self.pump(now);
        }
    }

    /// Whether it can be called now.
    pub fn is_registered(&self) -> bool {
        self.registration.told
    }

    pub(super) fn keep_registered(&mut self, now: Now) {
        let due = self.registration.refresh_at().is_some_and(|at| at <= now);
        if !due {
            return;
        }
        match self.send_register(now, EXPIRES) {
            Ok(id) => self.registration.state = State::Asked(id),
            Err(error) => self.refused(500, error.to_string()),
        }
    }

    fn send_register(&mut self, now: Now, expires: Duration) -> Result<RequestId, LineError> {
        self.registration.cseq += 1;
        let header = |name: Name, value: String| (name.as_str().to_owned(), value);
        let mut headers = vec![
            header(Name::CallId, self.registration.call_id.clone()),
            header(Name::CSeq, self.registration.cseq.to_string()),
            header(Name::Expires, expires.as_secs().to_string()),
        ];
        headers.extend(self.config.bearer());
        let address = format!("<{}>", self.config.own_address());
        let request = OutOfDialog {
            method: Method::Register,
            request_uri: format!("sip:{}", self.config.host),
            flow: self.flow(),
            from: address.clone(),
            to: address,
            contact_user: Some(self.config.user.clone()),
            headers,
            body: None,
            credentials: self.config.credentials(),
        };
        let sent = self.ua.request(now, request)?;
        // A proof is a request of its own, with the next number.
        self.registration.cseq += PROOFS_MAX;
        Ok(sent)
    }

    /// The answer to a REGISTER; others are nobody's.
    pub(super) fn on_response(
        &mut self,
        now: Now,
        id: RequestId,
        status: u16,
        response: Option<&Message>,
    ) {
        if !matches!(self.registration.state, State::Asked(asked) if asked == id) {
            return;
        }
        if !(200..300).contains(&status) {
            let reason = response.map_or("no answer", Message::reason).to_owned();
            return self.refused(status, reason);
        }
        let granted = response.and_then(granted).unwrap_or(EXPIRES);
        let refresh_at = now + granted.max(GRANTED_MIN) / 2;
        self.registration.state = State::On { refresh_at };
        if !std::mem::replace(&mut self.registration.told, true) {
            self.tell(Event::Registered);
        }
    }

    fn refused(&mut self, status: u16, reason: String) {
        self.registration.state = State::Off;
        self.registration.told = false;
        self.tell(Event::Refused { status, reason });
    }
}

impl LineConfig {
    /// What answers a challenge.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        match &self.proof {
            Proof::Password(password) => Some(Credentials::password(&self.user, password)),
            Proof::Bearer(_) => None,
        }
    }

    /// What needs none (RFC 8898 §2).
    pub(super) fn bearer(&self) -> Option<(String, String)> {
        let Proof::Bearer(token) = &self.proof else {
            return None;
        };
        let name = Name::Authorization.as_str().to_owned();
        Some((name, format!("Bearer {token}")))
    }
}

/// The time of our binding: the only one with our host, or the shortest of all.
fn granted(response: &Message) -> Option<Duration> {
    let given = response.contacts().filter_map(Result::ok);
    let secs = given.filter_map(|contact| contact.params.get("expires")?.parse().ok());
    secs.filter(|secs| *secs > 0).min().map(Duration::from_secs)
}

/// The time that is asked for.
const EXPIRES: Duration = Duration::from_secs(600);
/// Whatever is granted, a refresh comes no sooner than after half of this.
const GRANTED_MIN: Duration = Duration::from_secs(20);
/// Numbers that one REGISTER may use up, as the user agent's limits have it.
const PROOFS_MAX: u32 = 2;
