//! A synthetic phone: registers, calls, answers, presses keys, speaks a tone of its own and knows
//! which tones it hears.
//!
//! The law: pure, like all that it is made of. [`Phone`] drives the production SIP machine, the
//! production offer/answer machine and a port of a production media worker; whoever owns it carries
//! its packets and its port's. The simulated world and `tandem demo` use the same phone.
//!
//! ```text
//!            call()                          answered
//!   idle ──────────▶ dialling ───────────────────────▶ up: script runs ──▶ over ──▶ idle
//!     └── INVITE ──▶ ringing ──(answer after)──────────▲
//! ```

mod browser;
mod early;
mod line;
mod plan;
mod script;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use media::dsp::ToneTrack;
use media::worker::{MediaPlane, PortEvent};
use sip::auth::Credentials;
use sip::message::Method;
use sip::transport::Flow;
use sip::ua::{
    Counts, Ending, Event as SipEvent, OutOfDialog, Output as SipOutput, RequestId, UserAgent,
    UserAgentConfig,
};

use crate::call::DtmfVia;
use line::Line;

pub use browser::{browser_at, browser_keys, print_of};
pub use plan::{Act, Answering, Early, Habits, KeyHeard, PhonePlan};

/// What a phone wants done, and what happened to it.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit {
        /// Where.
        flow: Flow,
        /// One message.
        bytes: Bytes,
    },
    /// Something happened.
    Event(Event),
}

/// What happened to a phone.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is registered, or its registration was refused with that status.
    Registered(Result<(), u16>),
    /// It rings.
    Ringing,
    /// It rings, and speaks already.
    Speaking,
    /// A call is up: both ends have answered.
    Up,
    /// The call was refused with that status.
    Refused(u16),
    /// A call that was up, or rang, is over.
    Over(Heard),
}

/// What a phone heard in one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Each tone it listened for. Frames of 20 ms count from the moment the call was up.
    pub tones: Vec<ToneTrack>,
    /// Frames measured.
    pub frames: u32,
    /// The same tones before the call was up.
    pub before: Vec<ToneTrack>,
}

/// A phone with one line.
pub struct Phone {
    plan: PhonePlan,
    habits: Habits,
    ua: UserAgent,
    line: Line,
    /// What answers the call that rings.
    answer: Option<Bytes>,
    registering: Option<RequestId>,
    renew_at: Option<Now>,
    random: u64,
    keys: Vec<KeyHeard>,
    outputs: VecDeque<Output>,
}

impl Phone {
    /// A phone that does nothing until told.
    pub fn new(plan: PhonePlan) -> Self {
        let config = UserAgentConfig::new(vec![plan.listener.clone()], "Tandem phone");
        Self {
            ua: UserAgent::new(config, plan.seed),
            line: Line::Idle,
            answer: None,
            registering: None,
            renew_at: None,
            random: plan.seed,
            keys: Vec::new(),
            outputs: VecDeque::new(),
            habits: Habits::default(),
            plan,
        }
    }

    /// A phone with ways of its own.
    #[must_use]
    pub fn with_habits(mut self, habits: Habits) -> Self {
        self.ua.set_reliable_progress(habits.reliable);
        self.habits = habits;
        self
    }

    /// Its user name.
    pub fn user(&self) -> &str {
        &self.plan.user
    }

    /// Registers, and keeps doing so.
    pub fn register(&mut self, now: Now) {
        let address = format!("<sip:{}@{}>", self.plan.user, self.plan.domain);
        let request = OutOfDialog {
            method: Method::Register,
            request_uri: format!("sip:{}", self.plan.domain),
            flow: self.plan.server,
            from: address.clone(),
            to: address,
            contact_user: Some(self.plan.user.clone()),
            headers: vec![("Expires".to_owned(), EXPIRES.as_secs().to_string())],
            body: None,
            credentials: self.credentials(),
        };
        match self.ua.request(now, request) {
            Ok(id) => self.registering = Some(id),
            Err(_) => self.event(Event::Registered(Err(500))),
        }
    }

    /// Calls a number. A phone that is in a call stays in it.
    pub fn call(&mut self, now: Now, media: &mut dyn MediaPlane, number: &str) {
        if matches!(self.line, Line::Idle) && self.dial(now, media, number, Vec::new()).is_none() {
            self.event(Event::Refused(503));
        }
        self.drain(now, media);
    }

    /// Calls, in the place of a party of another dialog (RFC 3891): its name as a Replaces has it.
    pub fn call_in_place(
        &mut self,
        now: Now,
        media: &mut dyn MediaPlane,
        number: &str,
        replaces: &str,
    ) {
        let header = ("Replaces".to_owned(), replaces.to_owned());
        if matches!(self.line, Line::Idle) && self.dial(now, media, number, vec![header]).is_none()
        {
            self.event(Event::Refused(503));
        }
        self.drain(now, media);
    }

    /// The name of the dialog of the call that is up, as a Replaces has it.
    pub fn dialog_name(&self) -> Option<String> {
        match &self.line {
            Line::Live(live) if live.up => {
                let name = self.ua.dialog_name(live.session)?;
                Some(name.to_string())
            }
            _ => None,
        }
    }

    /// Hands the other on, to that URI or in the place of a party of another dialog.
    pub fn refer(
        &mut self,
        now: Now,
        media: &mut dyn MediaPlane,
        to: &str,
        replaces: Option<&str>,
    ) {
        self.send_refer(now, to, replaces);
        self.drain(now, media);
    }

    fn send_refer(&mut self, now: Now, to: &str, replaces: Option<&str>) {
        let Line::Live(live) = &self.line else { return };
        let value = match replaces {
            None => format!("<{to}>"),
            Some(name) => {
                let escaped = name
                    .replace('@', "%40")
                    .replace(';', "%3B")
                    .replace('=', "%3D");
                format!("<{to}?Replaces={escaped}>")
            }
        };
        let headers = [("Refer-To".to_owned(), value)];
        // A refusal shows in what the phone hears next.
        let _ = self
            .ua
            .request_in(now, live.session, Method::Refer, &headers, None);
    }

    /// Offers anew what it has: a re-INVITE, or an UPDATE before the answer. Nothing while an offer of its own
    /// is open.
    pub fn offer_again(&mut self, now: Now, media: &mut dyn MediaPlane) {
        self.reoffer(now);
        self.drain(now, media);
    }

    /// Whether it has a password to register with.
    pub fn registers(&self) -> bool {
        self.plan.password.is_some()
    }

    /// Hangs up, cancels or refuses: ends the call it is in, whatever its state.
    pub fn hang_up(&mut self, now: Now, media: &mut dyn MediaPlane) {
        if let Line::Live(live) = &self.line {
            self.ua.end(now, live.session, Ending::default());
        }
        self.drain(now, media);
    }

    /// Takes one message.
    pub fn receive(&mut self, now: Now, media: &mut dyn MediaPlane, flow: Flow, bytes: Bytes) {
        self.ua.receive(now, flow, bytes, true);
        self.drain(now, media);
    }

    /// Its connection is gone.
    pub fn flow_failed(&mut self, now: Now, media: &mut dyn MediaPlane, flow: Flow) {
        self.ua.flow_failed(now, flow);
        self.drain(now, media);
    }

    /// Takes an event of a port; one that is not its own is nothing to it.
    pub fn on_media(&mut self, event: &PortEvent) {
        match event {
            PortEvent::Closed { port, .. } => self.line.port_closed(*port),
            PortEvent::Digit {
                port,
                digit,
                how,
                duration_ms,
            } if self.line.has_port(*port) => {
                let via = match how {
                    media::worker::DtmfVia::Rfc4733 => DtmfVia::Rfc4733,
                    media::worker::DtmfVia::InBand => DtmfVia::InBand,
                };
                self.heard_key(digit.as_char(), via, *duration_ms);
            }
            _ => {}
        }
    }

    /// Acts on what is due, and listens to what was heard since.
    pub fn handle_timeout(&mut self, now: Now, media: &mut dyn MediaPlane) {
        if self.ua.deadline().is_some_and(|at| at <= now) {
            self.ua.handle_timeout(now);
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            self.renew_at = None;
            self.register(now);
        }
        self.line.listen();
        self.follow_script(now, media);
        self.drain(now, media);
    }

    /// When [`Phone::handle_timeout`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        let times = [self.ua.deadline(), self.renew_at, self.line.due()];
        times.into_iter().flatten().min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether it is in no call and holds no port.
    pub fn is_idle(&self) -> bool {
        matches!(self.line, Line::Idle)
    }

    /// The keys it was sent, whatever the call; at most 64.
    pub fn keys(&self) -> &[KeyHeard] {
        &self.keys
    }

    fn heard_key(&mut self, digit: char, via: DtmfVia, held_ms: u16) {
        if self.keys.len() < KEYS_MAX {
            self.keys.push(KeyHeard {
                digit,
                via,
                held_ms,
            });
        }
    }

    /// What it has heard so far in the call it is in.
    pub fn hearing(&self) -> Option<Heard> {
        self.line.heard()
    }

    /// What its SIP machine holds and has done.
    pub fn counts(&self) -> Counts {
        self.ua.counts()
    }

    fn credentials(&self) -> Option<Credentials> {
        let password = self.plan.password.as_deref()?;
        Some(Credentials::password(&self.plan.user, password))
    }

    /// Random numbers that follow from the seed (SplitMix64).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 31)
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn drain(&mut self, now: Now, media: &mut dyn MediaPlane) {
        while let Some(output) = self.ua.poll_output() {
            match output {
                SipOutput::Transmit { flow, bytes } => {
                    self.outputs.push_back(Output::Transmit { flow, bytes });
                }
                SipOutput::Event(event) => self.on_sip(now, media, event),
            }
        }
    }

    fn on_sip(&mut self, now: Now, media: &mut dyn MediaPlane, event: SipEvent) {
        match event {
            SipEvent::Response {
                request_id, status, ..
            } => {
                self.on_registered(now, request_id, status);
            }
            SipEvent::Invited { session, offer, .. } => {
                if self.ring(now, media, session, offer).is_none() {
                    let ending = Ending {
                        status: 486,
                        ..Ending::default()
                    };
                    self.ua.end(now, session, ending);
                }
            }
            SipEvent::Requested { request_id, .. } => {
                self.ua.respond(now, request_id, 405, &[], None);
            }
            SipEvent::InDialog {
                request_id,
                request,
                ..
            } => {
                let key = crate::call::info_key(&request);
                if let Some((digit, held_ms)) =
                    key.filter(|_| request.method() == Some(Method::Info))
                {
                    self.heard_key(digit, DtmfVia::Info, held_ms);
                }
                self.ua.respond_in(now, request_id, 200, &[], None);
            }
            event => self.on_session(now, media, event),
        }
    }

    fn on_registered(&mut self, now: Now, id: RequestId, status: u16) {
        if self.registering != Some(id) {
            return;
        }
        self.registering = None;
        let ok = (200..300).contains(&status);
        let after = if ok { EXPIRES / 2 } else { RETRY };
        self.renew_at = Some(now + after);
        self.event(Event::Registered(if ok { Ok(()) } else { Err(status) }));
    }
}

/// The registration's time, renewed at half of it.
const EXPIRES: Duration = Duration::from_secs(600);

/// Keys that are remembered.
const KEYS_MAX: usize = 64;

/// After a refused registration.
const RETRY: Duration = Duration::from_secs(5);
