//! Verto: JSON-RPC on a WebSocket, as FreeSWITCH's mod_verto began it (`verto.*`) and `@telnyx/webrtc` goes on
//! with it (`telnyx_rtc.*`). docs/verto.md says which messages there are.
//!
//! ```text
//!   Stranger ── login ──▶ Asked ── registered ──▶ Ready ── clientReady, then calls
//!      ▲                    │ refused
//!      └────────────────────┘   five times: the connection is closed
//! ```
//!
//! Pure: [`Verto`] is the [`Face`] whose words these are; its SIP is a [`Line`]'s. Every request of the client
//! is answered once: at once, or, where the line has yet to say how it went, when that is known.

mod calls;
#[cfg(test)]
mod tests;
mod told;
mod wire;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use jiff::Timestamp;
use serde_json::{Value, json};
use sip::transport::Transport;
use tokio_util::sync::CancellationToken;

use super::line::{Event, Line, LineConfig, LineError, Output, Proof};
use super::task::{Face, Out};
use super::{Parked, Seat};
use crate::access::Access;
use wire::{Agent, Dialect, Id, Message, Params, Refusal};

/// What a connection's machine is made of.
#[derive(Clone)]
pub(super) struct Settings {
    /// As the client's own connection.
    pub(super) transport: Transport,
    /// What the server is called.
    pub(super) host: String,
    /// 128 random bits: the session's name, and where its lines' seeds come from.
    pub(super) random: [u64; 2],
    /// Calls that pages have left.
    pub(super) parked: Arc<Parked>,
    /// Whose a token is; whether he still is somebody, control says.
    pub(super) access: Access,
    /// The wall clock at [`Now::ZERO`].
    pub(super) wall: Timestamp,
}

/// One client.
pub(super) struct Verto {
    settings: Settings,
    dialect: Dialect,
    phase: Phase,
    /// What a client says again when it comes back, to take its calls up.
    session: String,
    waiting: Vec<Waiting>,
    /// Logins that were refused, and messages that could not be read.
    mistakes: u32,
    logins: u32,
    /// The latest of our requests; its answers are passed over.
    asked: u64,
    ping_at: Option<Now>,
    /// When it was last looked whether calls were left.
    looked: Now,
    outputs: VecDeque<Out>,
}

enum Phase {
    Stranger,
    Asked {
        login: Id,
        line: Box<Line>,
    },
    /// Until `left_by` whoever was here as the same may yet leave his calls.
    Ready {
        line: Box<Line>,
        seat: Seat,
        left_by: Option<Now>,
    },
    Over,
}

/// A request whose answer the line has yet to give.
#[derive(Debug)]
struct Waiting {
    id: Id,
    call: String,
    what: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Hold {
        on: bool,
        action: &'static str,
    },
    Anew,
    Transfer {
        action: &'static str,
    },
    /// It hangs up, or has: its end is not told anew.
    Bye,
}

impl Verto {
    pub(super) fn new(settings: Settings) -> Self {
        let [high, low] = settings.random;
        let session = uuid::Builder::from_random_bytes(
            (u128::from(high) << 64 | u128::from(low)).to_be_bytes(),
        );
        Self {
            session: session.into_uuid().to_string(),
            settings,
            dialect: Dialect::Verto,
            phase: Phase::Stranger,
            waiting: Vec::new(),
            mistakes: 0,
            logins: 0,
            asked: 0,
            ping_at: None,
            looked: Now::ZERO,
            outputs: VecDeque::new(),
        }
    }

    fn line(&mut self) -> Option<&mut Line> {
        match &mut self.phase {
            Phase::Asked { line, .. } | Phase::Ready { line, .. } => Some(line),
            Phase::Stranger | Phase::Over => None,
        }
    }

    fn on_request(&mut self, now: Now, id: Id, method: &str, message: Message) {
        let (method, dialect) = Dialect::split(method);
        self.dialect = dialect.unwrap_or(self.dialect);
        let done = match (&self.phase, method) {
            (Phase::Over, _) => return,
            (_, "login") => return self.log_in(now, id, message.params),
            // Asked without any credentials by who wants to know whether they are needed.
            (Phase::Stranger | Phase::Asked { .. }, _) => {
                Err(Refusal::new(wire::UNKNOWN, "Authentication Required"))
            }
            (Phase::Ready { .. }, "gatewayState") => Ok(Some(self.gateway_state())),
            (Phase::Ready { .. }, "ping" | "echo") => Ok(Some(json!({"message": "pong"}))),
            (Phase::Ready { .. }, _) => self.on_call_request(now, &id, method, message),
        };
        match done {
            Ok(Some(result)) => self.reply(&id, result),
            Ok(None) => {}
            Err(refusal) => self.refuse(&id, &refusal),
        }
    }

    /// Begins a line, whose registration says whether it is who it says.
    fn log_in(&mut self, now: Now, id: Id, params: Params) {
        if !matches!(self.phase, Phase::Stranger) {
            return self.refuse(
                &id,
                &Refusal::new(wire::CALL, "you are logged in, or about to be"),
            );
        }
        if params.agent.is_some() || params.login_token.is_some() {
            self.dialect = Dialect::Telnyx;
        }
        self.logins += 1;
        let (user, proof) = match self.claim(now, &params) {
            Claim::Of(user, proof) => (user, proof),
            Claim::Wrong => return self.denied(&id),
            Claim::Missing => {
                let why = "Authentication Required: want login and passwd, or login_token";
                self.logins -= 1;
                return self.refuse(&id, &Refusal::new(wire::UNKNOWN, why));
            }
        };
        if let Some(session) = params.sessid.filter(|it| is_session(it)) {
            self.session = session;
        }
        let [seed, mix] = self.settings.random;
        let mut line = Line::new(LineConfig {
            transport: self.settings.transport,
            user,
            host: self.settings.host.clone(),
            proof,
            user_agent: params.agent.map_or_else(|| "Verto".to_owned(), named),
            seed: seed ^ mix.rotate_left(self.logins),
        });
        match line.register(now) {
            Ok(()) => {
                let line = Box::new(line);
                self.phase = Phase::Asked { login: id, line };
                self.drive(now);
            }
            Err(_) => self.denied(&id),
        }
    }

    /// Who logs in, and by what. A name may have the server's behind it.
    fn claim(&self, now: Now, params: &Params) -> Claim {
        if let Some(token) = &params.login_token {
            let wall = self.settings.wall.checked_add(now.since(Now::ZERO));
            let wall = wall.unwrap_or(Timestamp::MAX);
            return match self.settings.access.verify(token, wall) {
                Ok(subject) => Claim::Of(subject.endpoint, Proof::Bearer(token.clone())),
                Err(_) => Claim::Wrong,
            };
        }
        let name = params.login.as_deref().unwrap_or_default();
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let password = params.passwd.as_deref().unwrap_or_default();
        if name.is_empty() || name.len() > NAME_MAX || password.is_empty() {
            return Claim::Missing;
        }
        Claim::Of(name.to_owned(), Proof::Password(password.to_owned()))
    }

    /// The same words whatever was wrong: which names there are is nobody's business.
    fn denied(&mut self, id: &Id) {
        self.phase = Phase::Stranger;
        self.refuse(id, &Refusal::new(wire::DENIED, "Authentication Failure"));
        if self.logins >= LOGINS_MAX {
            self.end();
        }
    }

    fn gateway_state(&self) -> Value {
        json!({"message": "gateway state", "sessid": self.session, "params": {"state": "REGED"}})
    }

    fn reply(&mut self, id: &Id, result: Value) {
        if *id != Id::None {
            let text = wire::result(id, &self.session, result);
            self.outputs.push_back(Out::Say(text));
        }
    }

    fn refuse(&mut self, id: &Id, refusal: &Refusal) {
        self.outputs.push_back(Out::Say(wire::error(id, refusal)));
    }

    fn ask(&mut self, method: &str, params: Value) {
        self.asked += 1;
        let text = self
            .dialect
            .request(self.asked, method, &self.session, params);
        self.outputs.push_back(Out::Say(text));
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.outputs.push_back(Out::Close);
    }

    /// Carries on what the line has to say.
    fn drive(&mut self, now: Now) {
        while let Some(output) = self.line().and_then(Line::poll_output) {
            match output {
                Output::Transmit(bytes) => self.outputs.push_back(Out::Transmit(bytes)),
                Output::Event(event) => self.on_line(now, event),
            }
        }
    }

    fn on_line(&mut self, now: Now, event: Event) {
        match event {
            Event::Registered => self.logged_in(now),
            Event::Refused { status, .. } => self.not_logged_in(now, status),
            event => self.on_call_event(now, event),
        }
    }

    fn not_logged_in(&mut self, now: Now, status: u16) {
        let login = match &self.phase {
            Phase::Asked { login, .. } => login.clone(),
            _ => {
                // A credential that has ended, or an endpoint that is no more.
                self.displaced();
                return self.gone(now);
            }
        };
        if status < 500 && status != 408 {
            return self.denied(&login);
        }
        self.phase = Phase::Stranger;
        let why = format!("the server is busy ({status}); try again");
        self.refuse(&login, &Refusal::new(wire::CALL, why));
    }

    fn logged_in(&mut self, now: Now) {
        let Phase::Asked { login, line } = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        let seat = self.settings.parked.enter((line.user(), &self.session));
        let left_by = Some(if seat.awaits { now + LEAVING } else { now });
        self.phase = Phase::Ready {
            line,
            seat,
            left_by,
        };
        self.ping_at = Some(now + PING_EVERY);
        let result = json!({"message": "logged in", "sessid": self.session});
        self.reply(&login, result);
        self.take_up(now);
    }

    /// The client is ready as soon as it is known which calls its session has left.
    fn take_up(&mut self, now: Now) {
        let Phase::Ready { line, left_by, .. } = &mut self.phase else {
            return;
        };
        let Some(until) = *left_by else { return };
        self.looked = now;
        let left = self.settings.parked.take(now, (line.user(), &self.session));
        if left.is_empty() && now < until {
            return;
        }
        *left_by = None;
        let names: Vec<String> = left.iter().map(|it| it.call.clone()).collect();
        self.ask("clientReady", json!({"reattached_sessions": names}));
        for left in left {
            let name = left.call.clone();
            let attached = match self.line() {
                Some(line) => line.attach(now, left),
                None => Err(LineError::NotNow),
            };
            if attached.is_err() {
                self.ask("bye", json!({"callID": name, "cause": "ORIGINATOR_CANCEL"}));
            }
        }
    }
}

impl Face for Verto {
    type Beside = Infallible;

    fn text(&mut self, now: Now, text: &str) {
        match Message::read(text) {
            // Without a method it answers a request of ours.
            Ok(mut message) => {
                if let Some(method) = message.method.take() {
                    let id = std::mem::take(&mut message.id);
                    self.on_request(now, id, &method, message);
                }
            }
            Err(why) => {
                self.refuse(&Id::None, &Refusal::new(wire::PARSE, why));
                self.mistakes += 1;
                if self.mistakes >= MISTAKES_MAX {
                    self.end();
                }
            }
        }
        self.drive(now);
    }

    fn sip(&mut self, now: Now, bytes: Bytes) {
        if let Some(line) = self.line() {
            line.receive(now, bytes);
        }
        self.drive(now);
    }

    fn timeout(&mut self, now: Now) {
        if let Some(line) = self.line() {
            line.handle_timeout(now);
        }
        self.take_up(now);
        self.drive(now);
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = Some(now + PING_EVERY);
            self.ask("ping", json!({}));
        }
    }

    fn deadline(&self) -> Option<Now> {
        let line = match &self.phase {
            Phase::Asked { line, .. } | Phase::Ready { line, .. } => line.deadline(),
            Phase::Stranger | Phase::Over => None,
        };
        let looks = match &self.phase {
            Phase::Ready { left_by, .. } => left_by.map(|until| until.min(self.looked + LOOK)),
            _ => None,
        };
        let looks = looks.into_iter();
        line.into_iter().chain(self.ping_at).chain(looks).min()
    }

    fn poll_output(&mut self) -> Option<Out> {
        self.outputs.pop_front()
    }

    fn seat(&self) -> Option<&CancellationToken> {
        match &self.phase {
            Phase::Ready { seat, .. } => Some(&seat.leave),
            _ => None,
        }
    }

    fn take(&mut self, _: Now, nothing: Infallible) {
        match nothing {}
    }

    fn displaced(&mut self) {
        self.ask("punt", json!({"sessid": self.session}));
        self.outputs.push_back(Out::Close);
    }

    fn gone(&mut self, now: Now) {
        if let Phase::Ready { line, seat, .. } = &self.phase {
            let who = (line.user(), self.session.as_str());
            self.settings.parked.leave(now, who, line.leave());
            self.settings.parked.rise(who, seat);
        }
        self.phase = Phase::Over;
    }
}

/// What a login says of who it is.
enum Claim {
    /// That endpoint, to be proven by that.
    Of(String, Proof),
    /// A token that is none of ours, or over.
    Wrong,
    Missing,
}

fn named(agent: Agent) -> String {
    let (Agent::Words(words) | Agent::Members { version: words }) = agent;
    let plain = words
        .chars()
        .filter(|it| it.is_ascii_graphic() || *it == ' ');
    format!("Verto {}", plain.take(AGENT_MAX).collect::<String>())
}

/// Whether it may be a session's name of ours, or of a client that makes its own.
fn is_session(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (16..=64).contains(&text.len()) && text.bytes().all(is_word)
}

/// Clients look for one at least each 35 s.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Logins that may be refused on one connection.
const LOGINS_MAX: u32 = 5;
/// Messages that cannot be read, of one connection.
const MISTAKES_MAX: u32 = 16;
/// How long whoever is displaced may take to leave his calls, and how often that is looked for.
const LEAVING: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);
const NAME_MAX: usize = 128;
const AGENT_MAX: usize = 64;
