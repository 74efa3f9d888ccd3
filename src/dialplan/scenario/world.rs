//! The simulated world around one run: what is heard, the queue, the dialled party, the clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clock::Now;

use super::{Act, AgentDoes, CalleeDoes, Exit, FILE_LENGTH, Moment, NodeId, SPEECH_PER_CHARACTER};
use super::{Plan, Start, Value};
use crate::call::{
    Action, Cause, Destination, Dial, DialResult, DtmfVia, Notice, Party, PlayToken, Prompt,
    RecordAsk,
};
use crate::dialplan::plan::Called;
use crate::dialplan::run::{
    CallFacts, ConferenceNotice, LeftWhy, QueueNotice, QueueRequest, Run, RunInput, RunOutput,
    Stage, Trace,
};

/// What a playback brought to the ear.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Speech(String),
    File(String),
}

/// A call in virtual time.
pub(in crate::dialplan) struct World {
    plan: Arc<Plan>,
    run: Run,
    now: Now,
    heard: VecDeque<Heard>,
    playing: Option<(PlayToken, Now)>,
    queue: Option<(QueueRequest, Option<Now>)>,
    conference: Option<String>,
    dial: Option<(Dial, Now)>,
    /// Somebody answered: the waits of queue and dial are over.
    bridged: bool,
    recorded: VecDeque<RecordAsk>,
    hung_up: Option<Cause>,
    traces: Vec<Trace>,
    moments: Vec<Moment>,
}

/// Moments of one walk: what does not end by then goes round.
const EVENTS_MAX: usize = 100_000;

impl World {
    /// Begins a call; fails if no entry takes it.
    pub(in crate::dialplan) fn call(plan: &Arc<Plan>, start: &Start) -> Result<Self, String> {
        let to = match (&start.to, plan.entries.first().map(|e| &e.called)) {
            (Some(to), _) => to.clone(),
            (None, Some(Called::Exact(number))) => number.clone(),
            (None, Some(Called::Prefix(start))) => format!("{start}0"),
            (None, _) => String::new(),
        };
        let entry = match &start.endpoint {
            Some(endpoint) => plan.entry_from_endpoint(endpoint, &to),
            None => plan.entry(&to),
        };
        let entry = entry.ok_or_else(|| format!("no entry takes a call to \"{to}\""))?;
        let facts = CallFacts {
            from: start.from.clone(),
            to,
            trunk: start.endpoint.is_none().then(|| start.trunk.clone()),
            at: start.at,
        };
        let mut world = Self {
            plan: Arc::clone(plan),
            run: Run::start(Arc::clone(plan), entry, facts),
            now: Now::ZERO,
            heard: VecDeque::new(),
            playing: None,
            queue: None,
            conference: None,
            dial: None,
            bridged: false,
            recorded: VecDeque::new(),
            hung_up: None,
            traces: Vec::new(),
            moments: Vec::new(),
        };
        world.tell(RunInput::Start);
        Ok(world)
    }

    /// The ways taken so far.
    pub(in crate::dialplan) fn taken(&self) -> impl Iterator<Item = (NodeId, Exit)> {
        self.traces.iter().filter_map(|trace| trace.from.clone())
    }

    pub(in crate::dialplan) fn into_moments(self) -> Vec<Moment> {
        self.moments
    }

    /// What the run waits for.
    pub(in crate::dialplan) fn stage(&self) -> Stage {
        self.run.stage()
    }

    /// Virtual time since the call began.
    pub(in crate::dialplan) fn passed(&self) -> Duration {
        self.now.since(Now::ZERO)
    }

    fn note(&mut self, what: String) {
        let at = self.now.since(Now::ZERO);
        self.moments.push(Moment { at, what });
    }

    fn tell(&mut self, input: RunInput) {
        self.run.handle(self.now, input);
        while let Some(output) = self.run.poll_output() {
            match output {
                RunOutput::Do(action) => self.carry_out(action),
                RunOutput::Join(request) => self.join(request),
                RunOutput::Leave => self.queue = None,
                RunOutput::Confer(request) => {
                    self.note(format!("enters the conference \"{}\"", request.name));
                    self.conference = Some(request.name);
                    let entered = ConferenceNotice::Entered;
                    self.tell(RunInput::Conference(entered));
                }
                RunOutput::LeaveConference => self.conference = None,
                RunOutput::Step(trace) => self.traces.push(trace),
                RunOutput::Trouble { node, why } => {
                    let place = self.plan.place_shown(node);
                    self.note(format!("trouble: {}", why.explanation(&place)));
                }
                RunOutput::Finished => self.note("the call ends".to_owned()),
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Answer => {
                self.note("answers".to_owned());
                self.tell(RunInput::Notice(Notice::Answered));
            }
            Action::Play { play, items, .. } => self.play(play, items),
            Action::StopPlay(play) => {
                self.playing = self.playing.filter(|(token, _)| *token != play);
            }
            Action::Dial(dial) => {
                let to: Vec<String> = dial.to.iter().map(name_of).collect();
                let verb = if dial.blind { "transfers to" } else { "dials" };
                self.note(format!("{verb} {}", to.join(", ")));
                let until = self.now + dial.timeout;
                self.dial = Some((dial, until));
                self.bridged = false;
            }
            Action::Record(ask) => {
                self.note(format!("recording: {}", ask.name()));
                self.recorded.push_back(ask);
            }
            Action::Hangup(cause) => {
                self.note(format!("hangs up: {cause}"));
                self.hung_up = Some(cause);
            }
            Action::Ring | Action::CancelDial(_) | Action::SendDigits(_) => {}
        }
    }

    fn play(&mut self, play: PlayToken, items: Vec<Prompt>) {
        let mut length = Duration::ZERO;
        for item in items {
            match item {
                Prompt::Speech { text, .. } => {
                    let characters = text.chars().count() as u32;
                    length += SPEECH_PER_CHARACTER * characters;
                    self.note(format!("says \"{text}\""));
                    self.heard.push_back(Heard::Speech(text));
                }
                Prompt::File(name) => {
                    length += FILE_LENGTH;
                    self.note(format!("plays {name}"));
                    self.heard.push_back(Heard::File(name));
                }
                Prompt::Silence(time) => length += time,
                Prompt::Music(_) | Prompt::Tone(_) => {}
            }
        }
        self.playing = Some((play, self.now + length));
    }

    fn join(&mut self, request: QueueRequest) {
        self.note(format!("waits in the queue \"{}\"", request.queue));
        let mut queues = self.plan.queues().iter();
        let own = queues.find(|q| q.name == request.queue);
        let longest = request.max_wait.or(own.and_then(|q| q.max_wait));
        let until = longest.map(|longest| self.now + longest);
        self.queue = Some((request, until));
        self.bridged = false;
    }

    /// The next thing that happens by itself.
    fn next_event(&self) -> Option<Now> {
        let playing = self.playing.map(|(_, until)| until);
        let waits = if self.bridged {
            [None, None]
        } else {
            let queue = self.queue.as_ref().and_then(|(_, until)| *until);
            [queue, self.dial.as_ref().map(|(_, until)| *until)]
        };
        let all = [playing, self.run.deadline(), waits[0], waits[1]];
        all.into_iter().flatten().min()
    }

    /// Moves to the next event and lets it happen; false if nothing will.
    fn step(&mut self) -> bool {
        let Some(at) = self.next_event() else {
            return false;
        };
        self.now = self.now.max(at);
        if let Some((play, until)) = self.playing
            && until <= self.now
        {
            self.playing = None;
            let complete = true;
            self.tell(RunInput::Notice(Notice::Played { play, complete }));
        } else if self.run.deadline().is_some_and(|due| due <= self.now) {
            self.note("no key".to_owned());
            self.tell(RunInput::Deadline);
        } else if let Some((_, Some(until))) = &self.queue
            && *until <= self.now
        {
            self.left(LeftWhy::MaxWait);
        } else if self.dial.is_some() {
            self.dial_ended(DialResult::NoAnswer);
        }
        true
    }

    /// Lets speech end until `reached`; false if the run waits for something else before.
    fn speech_until(&mut self, reached: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..EVENTS_MAX {
            if reached(self) {
                return true;
            }
            if self.playing.is_none() || !self.step() {
                return false;
            }
        }
        false
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..EVENTS_MAX {
            if self.next_event().is_none_or(|at| at > until) || !self.step() {
                break;
            }
        }
        self.now = until;
    }

    fn left(&mut self, why: LeftWhy) {
        self.queue = None;
        self.note(format!("leaves the queue: {why:?}"));
        self.tell(RunInput::Queue(QueueNotice::Left { why }));
    }

    fn dial_ended(&mut self, result: DialResult) {
        if let Some((dial, _)) = self.dial.take() {
            self.note(format!("the dialling ends: {result:?}"));
            let token = dial.token;
            self.tell(RunInput::Notice(Notice::DialEnded { token, result }));
        }
    }

    /// Does one line of a test; an error says what happened instead.
    pub(in crate::dialplan) fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Press(keys) => keys.chars().try_for_each(|key| self.press(key)),
            Act::Wait(time) => {
                self.wait(*time);
                Ok(())
            }
            Act::Agent(does) => self.agent(*does),
            Act::QueueIs(why) => {
                self.expect_stage(Stage::Queued)?;
                self.left(*why);
                Ok(())
            }
            Act::ConferenceIs(why) => {
                self.expect_stage(Stage::Conferring)?;
                self.conference = None;
                self.note(format!("is not in the conference: {why:?}"));
                self.tell(RunInput::Conference(ConferenceNotice::Away(*why)));
                Ok(())
            }
            Act::Callee(does) => self.callee(*does),
            Act::Hangup => {
                self.note("the caller hangs up".to_owned());
                self.playing = None;
                self.tell(RunInput::Notice(Notice::CallerGone(Cause::Normal)));
                Ok(())
            }
            Act::ExpectSay(text) => self.expect_heard(
                |heard| matches!(heard, Heard::Speech(said) if said.contains(text.as_str())),
                &format!("\"{text}\" is not said"),
            ),
            Act::ExpectPlay(file) => self.expect_heard(
                |heard| matches!(heard, Heard::File(name) if name == file),
                &format!("{file} is not played"),
            ),
            Act::ExpectQueue { queue, priority } => self.expect_queue(queue, *priority),
            Act::ExpectConference(name) => {
                self.expect_stage(Stage::Conferring)?;
                match &self.conference {
                    Some(is) if is == name => Ok(()),
                    is => Err(format!(
                        "the call is in {}",
                        is.as_deref().unwrap_or("none")
                    )),
                }
            }
            Act::ExpectDial(to) => self.expect_dial(to),
            Act::ExpectRecord(on) => {
                self.speech_until(|world| !world.recorded.is_empty());
                match self.recorded.pop_front() {
                    Some(was) if was == *on => Ok(()),
                    _ => Err(self.instead("the recording does not do that")),
                }
            }
            Act::ExpectSet(values) => {
                let values = values.iter();
                let mut wrong = values.filter(|(n, v)| self.run.variables().get(n) != Some(v));
                match wrong.next() {
                    None => Ok(()),
                    Some((name, _)) => Err(format!("{name} is {}", self.shown(name))),
                }
            }
            Act::ExpectHangup(cause) => {
                self.speech_until(|world| world.stage() == Stage::Ended);
                match self.hung_up {
                    Some(was) if was == *cause => Ok(()),
                    Some(was) => Err(format!("the call ended with {was}")),
                    None => Err(self.instead("the plan does not hang up")),
                }
            }
        }
    }

    fn shown(&self, name: &str) -> String {
        match self.run.variables().get(name) {
            Some(Value::Text(text)) => format!("\"{text}\""),
            Some(value) => value.to_string(),
            None => "not set".to_owned(),
        }
    }

    /// `what`, and what the call does instead.
    fn instead(&self, what: &str) -> String {
        let last = self.moments.last().map_or("", |m| m.what.as_str());
        let does = match self.stage() {
            Stage::Listening => "waits for a key".to_owned(),
            Stage::Queued => "waits in a queue".to_owned(),
            Stage::Dialling => "rings somebody".to_owned(),
            Stage::Conferring => "is in a conference".to_owned(),
            _ => format!("last: {last}"),
        };
        format!("{what} (the call {does})")
    }

    fn press(&mut self, key: char) -> Result<(), String> {
        if !self.speech_until(|world| world.run.hears_keys()) {
            return Err(self.instead("nothing listens for keys"));
        }
        self.note(format!("the caller presses {key}"));
        let via = DtmfVia::Rfc4733;
        self.tell(RunInput::Notice(Notice::Digit { digit: key, via }));
        Ok(())
    }

    fn expect_stage(&mut self, stage: Stage) -> Result<(), String> {
        match self.speech_until(|world| world.stage() == stage) {
            true => Ok(()),
            false if stage == Stage::Queued => Err(self.instead("the call is in no queue")),
            false if stage == Stage::Conferring => {
                Err(self.instead("the call is in no conference"))
            }
            false => Err(self.instead("nobody is dialled")),
        }
    }

    fn agent(&mut self, does: AgentDoes) -> Result<(), String> {
        self.expect_stage(Stage::Queued)?;
        match does {
            AgentDoes::Answers => {
                self.note("an agent answers".to_owned());
                self.bridged = true;
                self.tell(RunInput::Queue(QueueNotice::Offered));
                let agent = "agent".to_owned();
                self.tell(RunInput::Queue(QueueNotice::Bridged { agent }));
            }
            AgentDoes::Declines => {
                self.note("an agent declines".to_owned());
                self.tell(RunInput::Queue(QueueNotice::Offered));
            }
            AgentDoes::HangsUp if self.bridged => {
                self.note("the agent hangs up".to_owned());
                self.queue = None;
                let by = Party::Callee;
                self.tell(RunInput::Queue(QueueNotice::Completed { by }));
            }
            AgentDoes::HangsUp => return Err("no agent has answered".to_owned()),
        }
        Ok(())
    }

    fn callee(&mut self, does: CalleeDoes) -> Result<(), String> {
        self.expect_stage(Stage::Dialling)?;
        let token = self.dial.as_ref().map(|(dial, _)| dial.token);
        match (does, token) {
            (CalleeDoes::Answers, Some(token)) => {
                self.note("the callee answers".to_owned());
                self.bridged = true;
                self.tell(RunInput::Notice(Notice::Bridged(token)));
            }
            (CalleeDoes::Busy, _) => self.dial_ended(DialResult::Busy),
            (CalleeDoes::Failed, _) => self.dial_ended(DialResult::Unreachable),
            (CalleeDoes::NoAnswer, _) => {
                let until = self.dial.as_ref().map(|(_, until)| *until);
                self.now = until.unwrap_or(self.now);
                self.dial_ended(DialResult::NoAnswer);
            }
            (CalleeDoes::HangsUp, _) if self.bridged => {
                self.dial_ended(DialResult::Completed(Party::Callee));
            }
            (CalleeDoes::HangsUp | CalleeDoes::Answers, _) => {
                return Err("the callee has not answered".to_owned());
            }
        }
        Ok(())
    }

    fn expect_heard(&mut self, wanted: impl Fn(&Heard) -> bool, what: &str) -> Result<(), String> {
        if !self.speech_until(|world| world.heard.iter().any(&wanted)) {
            return Err(self.instead(what));
        }
        while let Some(heard) = self.heard.pop_front() {
            if wanted(&heard) {
                break;
            }
        }
        Ok(())
    }

    fn expect_queue(&mut self, queue: &str, priority: Option<i32>) -> Result<(), String> {
        self.expect_stage(Stage::Queued)?;
        let Some((request, _)) = &self.queue else {
            return Err("the call is in no queue".to_owned());
        };
        if request.queue != queue {
            return Err(format!("the call is in the queue \"{}\"", request.queue));
        }
        match priority {
            Some(wanted) if wanted != request.priority => {
                Err(format!("its priority is {}", request.priority))
            }
            _ => Ok(()),
        }
    }

    fn expect_dial(&mut self, to: &str) -> Result<(), String> {
        self.expect_stage(Stage::Dialling)?;
        let dialled = self.dial.as_ref().map(|(dial, _)| &dial.to);
        let names: Vec<String> = dialled.into_iter().flatten().map(name_of).collect();
        match names.iter().any(|name| name == to) {
            true => Ok(()),
            false => Err(format!("it dials {}", names.join(", "))),
        }
    }
}

fn name_of(destination: &Destination) -> String {
    match destination {
        Destination::Endpoint(name) | Destination::Uri(name) => name.clone(),
        Destination::Trunk { number, .. } => number.clone(),
    }
}
