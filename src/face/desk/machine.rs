//! The machine of one desk: who is at it, what he asks, what he is told.
//!
//! ```text
//!   Fresh ── login ──▶ Entering ── a good pass ──▶ Registering ── Registered ──▶ Greeting ── welcome ──▶ In
//!     └──────── too late, no good pass, no agent ──▶ bye, Close ◀── log_out, its proof ends, too much ────┘
//! ```
//!
//! Sans-I/O: feed it ([`Desk::text`], [`Desk::sip`], [`Desk::told`], [`Desk::news`], [`Desk::timeout`]), drain
//! [`Desk::poll_output`] until `None`, then sleep until [`Desk::deadline`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use serde_json::{Value, json};

use super::calls::DeskCall;
use super::fault::Fault;
use super::hub::{News, QueueView};
use super::wire::{self, Pass, Request, Verb};
use crate::call::{CallId, RecordAsk};
use crate::center::{AgentSnapshot, Codes, Wish, WrapUp};
use crate::control::CallContext;
use crate::face::line::{self, Event, Left, Line, LineConfig};
use crate::store::LegRow;

/// What a desk wants done.
#[derive(Debug)]
pub(super) enum Out {
    /// Tell the page.
    Say(String),
    /// Tell control.
    Transmit(Bytes),
    /// Ask the API; answered by one [`Told`].
    Ask(Ask),
    /// End the connection, now that the page has been told why.
    Close,
}

/// What a desk asks. `id` is the number of the page's request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    /// Whose is this pass?
    Enter(Pass),
    /// Who is the agent of that name, or at that endpoint, and what does he need to know?
    Introduce {
        agent: Option<String>,
        endpoint: String,
    },
    /// What does he do now?
    Status {
        agent: String,
    },
    /// He wants to be that.
    Wish {
        id: u64,
        agent: String,
        wish: Wish,
        reason: Option<String>,
    },
    WrapUp {
        id: u64,
        agent: String,
        ask: WrapUp,
    },
    Pick {
        id: u64,
        agent: String,
        call: CallId,
    },
    Record {
        id: u64,
        name: String,
        call: CallId,
        ask: RecordAsk,
    },
    Write {
        id: u64,
        agent: String,
        call: CallId,
        note: Option<String>,
        disposition: Option<String>,
    },
    Merge {
        id: u64,
        endpoint: String,
        names: [String; 2],
        calls: [CallId; 2],
    },
    /// What is known of a call that rings, or is taken up again.
    Context {
        name: String,
        call: CallId,
    },
    /// How the calls' sound fares.
    Figures {
        endpoint: String,
        calls: Vec<(String, CallId)>,
    },
}

/// What the API says.
#[derive(Debug)]
pub(super) enum Told {
    Entered(Result<Box<Entered>, Fault>),
    Introduced(Result<Box<Introduction>, Fault>),
    Status(Option<Box<AgentSnapshot>>),
    /// A request is done, or not; what is told besides.
    Done {
        id: u64,
        result: Result<(), Fault>,
        then: Option<Then>,
    },
    Context {
        name: String,
        context: Option<Box<CallContext>>,
    },
    Figures(Vec<(String, LegRow)>),
    /// The calls that an earlier page of the session has left.
    Left(Vec<Left>),
    /// Nobody answers: what was known stands.
    Unknown,
}

/// What follows a request that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Recording { name: String, ask: RecordAsk },
    Merged { names: [String; 2] },
}

/// Somebody whose pass looks good; his registration proves it.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) line: LineConfig,
    pub(super) agent: Option<String>,
    /// This session's name: of one that is taken up, the same.
    pub(super) session: String,
    /// What takes it up again.
    pub(super) resume: Option<String>,
    /// Whether it is taken up: it may have calls.
    pub(super) again: bool,
}

/// What a page is greeted with.
#[derive(Debug)]
pub(super) struct Introduction {
    pub(super) agent: AgentSnapshot,
    pub(super) codes: Codes,
    /// The calls that he has missed, as the page is told them.
    pub(super) missed: Vec<Value>,
    /// STUN and TURN servers, as `RTCPeerConnection` takes them.
    pub(super) ice_servers: Vec<Value>,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Phase {
    Fresh,
    Entering { id: u64 },
    Registering { id: u64 },
    Greeting { id: u64 },
    In,
    Over,
}

/// One desk.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) phase: Phase,
    /// When whoever has not logged in is sent away.
    give_up_at: Now,
    pub(super) line: Option<Box<Line>>,
    pub(super) entered: Option<Box<Entered>>,
    /// Who is at it, once he was greeted.
    pub(super) agent: String,
    queues: Vec<String>,
    /// The queues as last told, by what of them is told.
    shown: BTreeMap<String, Arc<str>>,
    pub(super) calls: Vec<DeskCall>,
    /// Calls that are over and may yet be written up, the oldest first: name and id.
    pub(super) over: VecDeque<(String, CallId)>,
    /// When the figures of calls are due, and whether they were asked for.
    pub(super) figures_at: Option<Now>,
    /// Requests of the page that the API has not answered.
    pub(super) asking: usize,
    /// Whether the status is asked for, and whether it has to be once more.
    status: (bool, bool),
    /// The page's messages since then.
    heard: (Now, u32),
    outputs: VecDeque<Out>,
}

impl Desk {
    pub(super) fn new(now: Now) -> Self {
        Self {
            phase: Phase::Fresh,
            give_up_at: now + LOGIN_PATIENCE,
            line: None,
            entered: None,
            agent: String::new(),
            queues: Vec::new(),
            shown: BTreeMap::new(),
            calls: Vec::new(),
            over: VecDeque::new(),
            figures_at: None,
            asking: 0,
            status: (false, false),
            heard: (now, 0),
            outputs: VecDeque::new(),
        }
    }

    /// Takes a message of the page's.
    pub(super) fn text(&mut self, now: Now, text: &str) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        if self.is_too_much(now) {
            self.refuse(None, &Fault::TooMuch);
            return self.bye("too-much");
        }
        let Request { id, verb } = match wire::read(text) {
            Ok(request) => request,
            Err((id, fault)) => return self.refuse(id, &fault),
        };
        match (&self.phase, verb) {
            (Phase::Fresh, Verb::Login(pass)) => {
                self.phase = Phase::Entering { id };
                self.ask(Ask::Enter(pass));
            }
            (_, Verb::Login(_)) => self.refuse(Some(id), &Fault::LoggedIn),
            (Phase::In, verb) => self.act(now, id, verb),
            (_, Verb::LogOut) => {
                self.done(id);
                self.bye("logged-out");
            }
            _ => self.refuse(Some(id), &Fault::LoginFirst),
        }
        self.pump(now);
    }

    /// Takes a SIP message of control's.
    pub(super) fn sip(&mut self, now: Now, bytes: Bytes) {
        if let Some(line) = &mut self.line {
            line.receive(now, bytes);
        }
        self.pump(now);
    }

    /// Acts on what is due.
    pub(super) fn timeout(&mut self, now: Now) {
        if let Some(line) = &mut self.line
            && line.deadline().is_some_and(|at| at <= now)
        {
            line.handle_timeout(now);
        }
        if self.is_entering() && self.give_up_at <= now {
            self.bye("login-timeout");
        }
        if self.figures_at.is_some_and(|at| at <= now) {
            self.ask_figures(now);
        }
        self.pump(now);
    }

    /// When [`Desk::timeout`] is next due.
    pub(super) fn deadline(&self) -> Option<Now> {
        let line = self.line.as_ref().and_then(|line| line.deadline());
        let login = self.is_entering().then_some(self.give_up_at);
        [line, login, self.figures_at].into_iter().flatten().min()
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Out> {
        self.outputs.pop_front()
    }

    /// The page is gone: what another one needs to take up its calls, by his name and the session's.
    pub(super) fn gone(&mut self, now: Now) -> Option<(String, String, Vec<Left>)> {
        let (line, entered) = self.line.as_mut().zip(self.entered.as_ref())?;
        let left = match self.phase {
            Phase::In => line.leave(),
            _ => Vec::new(),
        };
        let left = (line.user().to_owned(), entered.session.clone(), left);
        line.unregister(now);
        self.pump(now);
        Some(left)
    }

    /// Takes an answer of the API's.
    pub(super) fn told(&mut self, now: Now, told: Told) {
        match told {
            Told::Entered(entered) => self.on_entered(now, entered),
            Told::Introduced(introduction) => self.on_introduced(introduction),
            Told::Status(agent) => self.on_status(agent),
            Told::Done { id, result, then } => {
                self.asking = self.asking.saturating_sub(1);
                match result {
                    Ok(()) => {
                        self.done(id);
                        self.follow(then);
                    }
                    Err(fault) => self.refuse(Some(id), &fault),
                }
            }
            Told::Context { name, context } => self.on_context(&name, context),
            Told::Figures(figures) => self.on_figures(now, figures),
            Told::Left(left) => self.take_up(now, left),
            Told::Unknown => self.status = (false, false),
        }
        self.pump(now);
    }

    /// Takes what happens at the centre.
    pub(super) fn news(&mut self, now: Now, news: &News) {
        if !matches!(self.phase, Phase::In) {
            return;
        }
        match news {
            News::Status => self.ask_status(),
            News::Missed(missed) => self.say("missed", missed.clone()),
            News::Heard { call, unheard } => self.on_heard(now, *call, *unheard),
            News::Queues(queues) => self.on_queues(queues),
        }
        self.pump(now);
    }

    /// Who is to be told of what.
    pub(super) fn watches(&self) -> Option<(&str, &str)> {
        let line = self.line.as_ref()?;
        matches!(self.phase, Phase::In).then(|| (self.agent.as_str(), line.user()))
    }

    /// Whose session it is, by his name and its own, and whether it was there before.
    pub(super) fn session(&self) -> Option<(&str, &str, bool)> {
        let (line, entered) = self.line.as_ref().zip(self.entered.as_ref())?;
        Some((line.user(), &entered.session, entered.again))
    }

    /// Another page has come as the same session.
    pub(super) fn displaced(&mut self) {
        if !matches!(self.phase, Phase::Over) {
            self.bye("elsewhere");
        }
    }

    // Coming in.

    pub(super) fn is_entering(&self) -> bool {
        !matches!(self.phase, Phase::In | Phase::Over)
    }

    fn on_entered(&mut self, now: Now, entered: Result<Box<Entered>, Fault>) {
        let Phase::Entering { id } = self.phase else {
            return;
        };
        let entered = match entered {
            Ok(entered) => entered,
            Err(fault) => return self.send_away(id, &fault),
        };
        let mut line = Box::new(Line::new(entered.line.clone()));
        if line.register(now).is_err() {
            return self.send_away(id, &Fault::Login);
        }
        self.line = Some(line);
        self.entered = Some(entered);
        self.phase = Phase::Registering { id };
    }

    /// Not let in: that is all that is said.
    fn send_away(&mut self, id: u64, fault: &Fault) {
        self.refuse(Some(id), fault);
        self.bye("login");
    }

    fn on_registered(&mut self) {
        if let (Phase::Registering { id }, Some(entered)) = (&self.phase, &self.entered) {
            let ask = Ask::Introduce {
                agent: entered.agent.clone(),
                endpoint: entered.line.user.clone(),
            };
            self.phase = Phase::Greeting { id: *id };
            self.ask(ask);
        }
    }

    /// What proved him proves nothing any more, or never did.
    fn on_refused(&mut self, status: u16) {
        match self.phase {
            Phase::Registering { id } if matches!(status, 401 | 403 | 407) => {
                self.send_away(id, &Fault::Login);
            }
            Phase::In if matches!(status, 401 | 403 | 407) => self.bye("login-ended"),
            // The server is going down, or does not answer.
            _ => self.bye("restart"),
        }
    }

    fn on_introduced(&mut self, introduction: Result<Box<Introduction>, Fault>) {
        let Phase::Greeting { id } = self.phase else {
            return;
        };
        let introduction = match introduction {
            Ok(introduction) => *introduction,
            Err(fault) => return self.send_away(id, &fault),
        };
        let Introduction {
            agent,
            codes,
            missed,
            ice_servers,
        } = introduction;
        self.phase = Phase::In;
        self.agent = agent.id.to_string();
        self.queues.clone_from(&agent.queues);
        let resume = self.entered.as_ref().and_then(|it| it.resume.clone());
        self.done(id);
        self.say(
            "welcome",
            json!({
                "agent": self.agent,
                "endpoint": agent.endpoint,
                "queues": agent.queues,
                "dispositions": codes.dispositions,
                "break_reasons": codes.break_reasons,
                "resume": resume,
                "ice_servers": ice_servers,
                "status": status(&agent),
                "missed": missed,
            }),
        );
        self.show_waiting();
    }

    /// Takes up what an earlier page has left: the server offers each call anew.
    fn take_up(&mut self, now: Now, left: Vec<Left>) {
        for left in left {
            let name = left.call.clone();
            let taken = self.line.as_mut().map(|line| line.attach(now, left));
            if let Some(Ok(())) = taken {
                self.calls.push(DeskCall::attaching(name));
            }
        }
    }

    // What he does, and what waits for him.

    fn ask_status(&mut self) {
        match &mut self.status {
            (true, again) => *again = true,
            (asked, _) => {
                *asked = true;
                let agent = self.agent.clone();
                self.ask(Ask::Status { agent });
            }
        }
    }

    fn on_status(&mut self, agent: Option<Box<AgentSnapshot>>) {
        let again = std::mem::take(&mut self.status).1;
        let Some(agent) = agent else {
            // He is no agent any more.
            return self.bye("login-ended");
        };
        self.say("status", status(&agent));
        if agent.queues != self.queues {
            self.queues = agent.queues;
            self.shown.clear();
        }
        if again {
            self.ask_status();
        }
    }

    fn on_queues(&mut self, queues: &[Arc<QueueView>]) {
        let ours = queues.iter().filter(|it| self.queues.contains(&it.name));
        let ours: Vec<_> = ours.collect();
        let same = |it: &&Arc<QueueView>| self.shown.get(&it.name) == Some(&it.shape);
        if ours.len() == self.shown.len() && ours.iter().all(same) {
            return;
        }
        let shown = ours.iter().map(|it| (it.name.clone(), it.shape.clone()));
        self.shown = shown.collect();
        let json: Vec<&str> = ours.iter().map(|it| &*it.json).collect();
        let text = format!("{{\"type\":\"queues\",\"queues\":[{}]}}", json.join(","));
        self.outputs.push_back(Out::Say(text));
    }

    // Outputs.

    /// Carries on what the line has to say.
    pub(super) fn pump(&mut self, now: Now) {
        while let Some(output) = self.line.as_mut().and_then(|line| line.poll_output()) {
            match output {
                line::Output::Transmit(bytes) => self.outputs.push_back(Out::Transmit(bytes)),
                line::Output::Event(Event::Registered) => self.on_registered(),
                line::Output::Event(Event::Refused { status, .. }) => self.on_refused(status),
                line::Output::Event(event) => self.on_call(now, event),
            }
        }
    }

    pub(super) fn say(&mut self, kind: &str, more: Value) {
        self.outputs.push_back(Out::Say(wire::say(kind, more)));
    }

    pub(super) fn done(&mut self, id: u64) {
        self.done_with(id, Value::Null);
    }

    pub(super) fn done_with(&mut self, id: u64, more: Value) {
        self.outputs.push_back(Out::Say(wire::done(id, more)));
    }

    pub(super) fn refuse(&mut self, id: Option<u64>, fault: &Fault) {
        self.outputs.push_back(Out::Say(wire::refused(id, fault)));
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        self.outputs.push_back(Out::Ask(ask));
    }

    pub(super) fn bye(&mut self, reason: &str) {
        self.phase = Phase::Over;
        self.say("bye", json!({ "reason": reason }));
        self.outputs.push_back(Out::Close);
    }

    /// Whether the page says more than any page has to.
    fn is_too_much(&mut self, now: Now) -> bool {
        let (since, count) = &mut self.heard;
        if now.since(*since) > HEARD_WITHIN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > HEARD_MAX
    }
}

/// What he does, as the page is told it.
fn status(agent: &AgentSnapshot) -> Value {
    json!({
        "state": agent.state.name().replace('-', "_"),
        "since_ms": millis(agent.lasted),
        "next": agent.next.map(|wish| wish.name()),
        "reason": agent.reason.as_deref(),
        "until_ms": agent.left.map(millis),
    })
}

/// Whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// From the connection to the welcome.
const LOGIN_PATIENCE: Duration = Duration::from_secs(15);
/// A page's messages within that time: keys and notes as they are typed.
const HEARD_MAX: u32 = 200;
const HEARD_WITHIN: Duration = Duration::from_secs(10);
