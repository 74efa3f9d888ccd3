//! The interpreter: one call's walk through a plan.
//!
//! Sans-IO: [`Run::start`], then feed [`RunInput::Start`] and each [`RunInput`] that follows, drain
//! [`Run::poll_output`] until `None`, then sleep until [`Run::deadline`].
//!
//! ```text
//!   Start ─▶ enter ─┬─ answer, gather, menu, queue of a call not yet answered ─▶ Answering ─┐
//!             ▲     ├─ say, play ─▶ Speaking ── played, key ──────────────────────▶ leave  │
//!             │     ├─ gather, menu ─▶ Listening ── keys, no key, wrong keys ─────▶ leave ◀┘
//!             │     ├─ queue ─▶ Queued ── left, completed ────────────────────────▶ leave
//!             │     ├─ conference ─▶ Conferring ── key, put out, not let in ──────▶ leave
//!             │     ├─ dial, transfer ─▶ Dialling ── ended ───────────────────────▶ leave
//!             │     ├─ set, if, goto, record, repeat ─────────────────────────────▶ leave
//!             │     └─ hangup ─▶ Ended            caller gone, end of the flow ─▶ Ended
//!             └─────────────────────────── leave by an exit of the step ◀──────────────
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use clock::Now;

use super::condition::Value;
use super::plan::{
    Callee, ConferenceStep, DialStep, EntryId, Exit, Node, NodeId, Plan, Step, Target, Utterance,
};
use super::trouble::Trouble;
use crate::call::{
    Action, Cause, Destination, Dial, DialResult, DialToken, Notice, Party, PlayToken, Prompt,
    RecordAsk, Ringback,
};
use crate::conference::{Away, check_name};

mod listen;
mod values;
mod words;

use listen::Listening;
pub use words::{
    CallFacts, ConferenceNotice, ConferenceRequest, LeftWhy, QueueNotice, QueueRequest, RunInput,
    RunOutput, Stage, Trace,
};

#[derive(Clone, Debug)]
enum State {
    New,
    Answering,
    Speaking {
        play: PlayToken,
        barge_in: bool,
        until: Now,
    },
    Listening(Listening),
    Queued {
        /// An agent has the call: its keys are theirs.
        served: bool,
    },
    Dialling(DialToken),
    Conferring,
    Ended,
}

/// One call's walk through a plan; plain data beside the plan itself.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Arc<Plan>,
    entry: EntryId,
    facts: CallFacts,
    started: Now,
    node: Option<NodeId>,
    state: State,
    answered: bool,
    gone: bool,
    /// The keys of the last `gather` or menu.
    digits: String,
    /// Keys pressed into a `say` before the step that listens.
    typed: String,
    variables: BTreeMap<String, Value>,
    /// Whether keys are masked, and the variables set meanwhile: their values are nobody's to see.
    masked: bool,
    hidden: BTreeSet<String>,
    /// Rounds without any key, and with wrong keys, of the step that listened last.
    rounds: (u32, u32),
    tokens: u64,
    /// Steps since the last key or wait.
    quick: u32,
    outputs: VecDeque<RunOutput>,
}

/// Steps without a key or a wait: the checker refuses such rounds, this ends what it missed.
const QUICK_MAX: u32 = 1_000;
/// Keys typed ahead.
const TYPED_MAX: usize = 32;
/// No prompt is longer; a playback whose end is never told does not hold a call for ever.
const SPEAKING_MAX: Duration = Duration::from_secs(900);
/// Characters of a variable.
const VALUE_MAX: usize = 4_000;

impl Run {
    /// A run of `plan` from `entry`; it begins with [`RunInput::Start`].
    pub fn start(plan: Arc<Plan>, entry: EntryId, facts: CallFacts) -> Self {
        Self {
            plan,
            entry,
            facts,
            started: Now::ZERO,
            node: None,
            state: State::New,
            answered: false,
            gone: false,
            digits: String::new(),
            typed: String::new(),
            variables: BTreeMap::new(),
            masked: false,
            hidden: BTreeSet::new(),
            rounds: (0, 0),
            tokens: 0,
            quick: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Advances the walk. What the step has no use for is dropped.
    pub fn handle(&mut self, now: Now, input: RunInput) {
        match (&self.state, input) {
            (State::Ended, _) => {}
            (State::New, RunInput::Start) => {
                self.started = now;
                let flow = self.plan.entries.get(self.entry.0 as usize).map(|e| e.flow);
                let flow = flow.and_then(|flow| self.plan.flows.get(flow as usize));
                let first = flow.and_then(|flow| flow.first);
                self.enter(now, None, first);
            }
            (_, RunInput::Notice(Notice::CallerGone(_))) => self.caller_gone(now),
            (_, RunInput::Notice(notice)) => self.notice(now, notice),
            (State::Queued { .. }, RunInput::Queue(notice)) => self.queue_notice(now, notice),
            (State::Conferring, RunInput::Conference(ConferenceNotice::Away(why))) => {
                self.away(now, why);
            }
            (_, RunInput::Deadline) => self.deadline_reached(now),
            (_, RunInput::Start | RunInput::Queue(_) | RunInput::Conference(_)) => {}
        }
    }

    /// The next thing asked or told.
    pub fn poll_output(&mut self) -> Option<RunOutput> {
        self.outputs.pop_front()
    }

    /// When [`RunInput::Deadline`] is due.
    pub fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Speaking { until, .. } => Some(*until),
            State::Listening(listening) => listening.deadline(),
            _ => None,
        }
    }

    /// What it waits for.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::New => Stage::New,
            State::Answering => Stage::Answering,
            State::Speaking { .. } => Stage::Speaking,
            State::Listening(_) => Stage::Listening,
            State::Queued { .. } => Stage::Queued,
            State::Dialling(_) => Stage::Dialling,
            State::Conferring => Stage::Conferring,
            State::Ended => Stage::Ended,
        }
    }

    /// Whether a key pressed now reaches a `gather` or menu, or takes the call out of its queue.
    pub(super) fn hears_keys(&self) -> bool {
        match &self.state {
            State::Listening(listening) => listening.hears_keys(),
            State::Queued { served: false } | State::Conferring => {
                let node = self.node.and_then(|id| self.plan.node(id));
                let mut exits = node.into_iter().flat_map(|node| &node.exits);
                exits.any(|(exit, _)| matches!(exit, Exit::Keys(_)))
            }
            _ => false,
        }
    }

    /// The step where it stands.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// The plan that it keeps to its end.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The variables that were set, for queues, desks and call records.
    pub fn variables(&self) -> &BTreeMap<String, Value> {
        &self.variables
    }

    fn emit(&mut self, output: RunOutput) {
        self.outputs.push_back(output);
    }

    fn ask(&mut self, action: Action) {
        self.emit(RunOutput::Do(action));
    }

    fn trouble(&mut self, why: Trouble) {
        if let Some(node) = self.node {
            self.emit(RunOutput::Trouble { node, why });
        }
    }

    fn next_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Leaves the present step by `exit`, or by `Next` if it has no such exit.
    fn leave(&mut self, now: Now, exit: Exit) {
        let plan = Arc::clone(&self.plan);
        let Some((id, node)) = self.node.and_then(|id| Some((id, plan.node(id)?))) else {
            return self.end(Cause::Normal);
        };
        let exit = if node.has(&exit) { exit } else { Exit::Next };
        let target = node.target(&exit);
        self.enter(now, Some((id, exit)), target);
    }

    /// Enters steps one after the other until one waits or the flow ends.
    fn enter(&mut self, now: Now, from: Option<(NodeId, Exit)>, to: Target) {
        let plan = Arc::clone(&self.plan);
        let (mut from, mut to) = (from, to);
        loop {
            self.emit(RunOutput::Step(Trace {
                from: from.clone(),
                to,
            }));
            let Some((id, node)) = to.and_then(|id| Some((id, plan.node(id)?))) else {
                return self.end(Cause::Normal);
            };
            self.node = Some(id);
            self.quick += 1;
            if self.quick > QUICK_MAX {
                self.trouble(Trouble::EndlessRound(QUICK_MAX));
                return self.end(Cause::Failure);
            }
            let again = from.is_some_and(|(_, exit)| exit == Exit::Repeat);
            let Some(exit) = self.execute(now, node, again) else {
                return;
            };
            to = node.target(&exit);
            from = Some((id, exit));
        }
    }

    /// Does a step: gives the exit of one that is done at once, none of one that waits or ends.
    fn execute(&mut self, now: Now, node: &Node, again: bool) -> Option<Exit> {
        if self.gone && !matches!(node.step, Step::Set(_) | Step::If(_) | Step::End) {
            self.finish();
            return None;
        }
        let answers = matches!(
            node.step,
            Step::Answer
                | Step::Gather(_)
                | Step::Menu(_)
                | Step::Queue { .. }
                | Step::Conference(_)
        );
        if answers && !self.answered {
            self.ask(Action::Answer);
            self.state = State::Answering;
            return None;
        }
        match &node.step {
            Step::Answer => return Some(Exit::Next),
            Step::Say(utterances) => {
                let barge_in = utterances.iter().all(|u| u.barge_in);
                if barge_in && !self.typed.is_empty() {
                    return Some(Exit::Next);
                }
                self.typed.clear();
                let play = self.play(utterances);
                self.state = State::Speaking {
                    play,
                    barge_in,
                    until: now + SPEAKING_MAX,
                };
            }
            Step::Gather(_) | Step::Menu(_) => self.listen(now, node, again),
            Step::Set(settings) => {
                self.set(now, settings);
                return Some(Exit::Next);
            }
            Step::If(condition) => {
                let holds = self.evaluate(now, *condition) == Some(Value::Truth(true));
                return Some(if holds { Exit::Then } else { Exit::Else });
            }
            Step::Goto => return Some(Exit::Goto),
            Step::Repeat => return Some(Exit::Repeat),
            Step::Queue {
                queue,
                priority,
                max_wait,
            } => {
                self.typed.clear();
                self.state = State::Queued { served: false };
                self.emit(RunOutput::Join(QueueRequest {
                    queue: queue.clone(),
                    priority: *priority,
                    max_wait: *max_wait,
                }));
            }
            Step::Dial(dial) => return self.dial(node, dial),
            Step::Conference(conference) => return self.confer(node, conference),
            Step::Record(ask) => {
                match ask {
                    RecordAsk::Mask => self.masked = true,
                    RecordAsk::Unmask => self.masked = false,
                    _ => {}
                }
                self.ask(Action::Record(*ask));
                return Some(Exit::Next);
            }
            Step::Hangup(cause) => self.end(*cause),
            Step::End => self.finish(),
        }
        None
    }

    fn dial(&mut self, node: &Node, dial: &DialStep) -> Option<Exit> {
        let mut to = Vec::with_capacity(dial.to.len());
        for callee in &dial.to {
            match callee {
                Callee::Endpoint(name) => match self.render(name) {
                    name if name.is_empty() => {
                        self.trouble(Trouble::NoEndpointName);
                    }
                    name => to.push(Destination::Endpoint(name)),
                },
                Callee::Number { number, trunk } => {
                    let number = self.render(number);
                    match trunk.clone().or_else(|| self.facts.trunk.clone()) {
                        Some(trunk) => to.push(Destination::Trunk { trunk, number }),
                        None => self.trouble(Trouble::NoTrunk { number }),
                    }
                }
            }
        }
        if to.is_empty() {
            let has = node.has(&Exit::Failed);
            return Some(if has { Exit::Failed } else { Exit::Next });
        }
        self.typed.clear();
        let token = DialToken(self.next_token());
        let caller_id = dial.caller_id.as_ref().map(|text| self.render(text));
        self.state = State::Dialling(token);
        self.ask(Action::Dial(Dial {
            token,
            to,
            timeout: dial.timeout,
            ringback: Ringback::Tone,
            caller_id,
            blind: dial.blind,
        }));
        None
    }

    fn confer(&mut self, node: &Node, conference: &ConferenceStep) -> Option<Exit> {
        let name = self.render(&conference.name);
        if let Err(want) = check_name(&name) {
            self.trouble(Trouble::RoomName { name, want });
            let has = node.has(&Exit::Failed);
            return Some(if has { Exit::Failed } else { Exit::Next });
        }
        self.typed.clear();
        self.state = State::Conferring;
        let terms = conference.terms.clone();
        self.emit(RunOutput::Confer(ConferenceRequest { name, terms }));
        None
    }

    /// The conference has not let the call in, or put it out: then the call ends but by an exit of its own.
    fn away(&mut self, now: Now, why: Away) {
        self.quick = 0;
        let exit = match why {
            Away::Full => Exit::Full,
            Away::Locked => Exit::Locked,
            Away::Removed => Exit::Removed,
            Away::Failed => Exit::Failed,
        };
        let node = self.node.and_then(|id| self.plan.node(id));
        let ends = why == Away::Removed && !node.is_some_and(|node| node.has(&exit));
        match ends {
            true => self.end(Cause::Normal),
            false => self.leave(now, exit),
        }
    }

    fn play(&mut self, utterances: &[Utterance]) -> PlayToken {
        let play = PlayToken(self.next_token());
        let items = utterances.iter().map(|u| self.prompt(u)).collect();
        self.ask(Action::Play {
            play,
            items,
            repeat: false,
        });
        play
    }

    fn notice(&mut self, now: Now, notice: Notice) {
        match (&mut self.state, notice) {
            (State::Answering, Notice::Answered) => {
                self.answered = true;
                let again = self.node;
                self.resume(now, again);
            }
            (_, Notice::Answered) => self.answered = true,
            (State::Speaking { play, .. }, Notice::Played { play: done, .. }) if *play == done => {
                self.leave(now, Exit::Next);
            }
            (State::Speaking { play, .. }, Notice::PlayFailed { play: done, why })
                if *play == done =>
            {
                self.trouble(Trouble::Sound(why));
                self.leave(now, Exit::Next);
            }
            (
                State::Speaking {
                    play,
                    barge_in: true,
                    ..
                },
                Notice::Digit { digit, .. },
            ) => {
                let play = *play;
                self.typed.push(digit);
                self.quick = 0;
                self.ask(Action::StopPlay(play));
                self.leave(now, Exit::Next);
            }
            (State::Listening(_), notice) => self.heard(now, notice),
            (State::Queued { served: false }, Notice::Digit { digit, .. }) => {
                self.leave_by(now, digit, RunOutput::Leave);
            }
            (State::Conferring, Notice::Digit { digit, .. }) => {
                self.leave_by(now, digit, RunOutput::LeaveConference);
            }
            (
                State::Dialling(token),
                Notice::DialEnded {
                    token: ended,
                    result,
                },
            ) if *token == ended => {
                self.dial_ended(now, result);
            }
            (State::Dialling(_), Notice::Bridged(_)) => self.answered = true,
            _ => {}
        }
    }

    /// Does the present step now that the call is answered.
    fn resume(&mut self, now: Now, node: Target) {
        let plan = Arc::clone(&self.plan);
        let Some(node) = node.and_then(|id| plan.node(id)) else {
            return self.end(Cause::Normal);
        };
        if let Some(exit) = self.execute(now, node, false) {
            self.leave(now, exit);
        }
    }

    /// A key in a queue or a conference: takes the call out of it if there is an exit for it.
    fn leave_by(&mut self, now: Now, key: char, leave: RunOutput) {
        let exit = Exit::Keys(key.to_string());
        let node = self.node.and_then(|id| self.plan.node(id));
        if node.is_some_and(|node| node.has(&exit)) {
            self.quick = 0;
            self.digits = key.to_string();
            self.emit(leave);
            self.leave(now, exit);
        }
    }

    fn queue_notice(&mut self, now: Now, notice: QueueNotice) {
        self.quick = 0;
        match notice {
            QueueNotice::Left { why } => self.leave(
                now,
                match why {
                    LeftWhy::MaxWait => Exit::MaxWait,
                    LeftWhy::Full => Exit::Full,
                    LeftWhy::NoAgents => Exit::NoAgents,
                    LeftWhy::Removed => Exit::Next,
                },
            ),
            QueueNotice::Completed { by } => self.completed(now, by),
            QueueNotice::Bridged { .. } => self.state = State::Queued { served: true },
            QueueNotice::Joined { .. } | QueueNotice::Position(_) | QueueNotice::Offered => {}
        }
    }

    fn dial_ended(&mut self, now: Now, result: DialResult) {
        self.quick = 0;
        match result {
            DialResult::Completed(by) => self.completed(now, by),
            DialResult::Busy => self.leave(now, Exit::Busy),
            DialResult::NoAnswer => self.leave(now, Exit::NoAnswer),
            DialResult::Refused(_) | DialResult::Unreachable => self.leave(now, Exit::Failed),
            DialResult::Cancelled => self.leave(now, Exit::Next),
        }
    }

    /// A bridge ended: the plan goes on only by an exit made for it, and only with a caller.
    fn completed(&mut self, now: Now, by: Party) {
        let node = self.node.and_then(|id| self.plan.node(id));
        let goes_on = node.is_some_and(|node| node.has(&Exit::Completed)) && by != Party::Caller;
        match goes_on {
            true => self.leave(now, Exit::Completed),
            false => self.end(Cause::Normal),
        }
    }

    fn caller_gone(&mut self, now: Now) {
        self.gone = true;
        if matches!(self.state, State::Queued { .. }) {
            self.emit(RunOutput::Leave);
        }
        if matches!(self.state, State::Conferring) {
            self.emit(RunOutput::LeaveConference);
        }
        let node = self.node.and_then(|id| self.plan.node(id));
        let listens = matches!(self.state, State::Listening(_));
        match listens && node.is_some_and(|node| node.has(&Exit::Hangup)) {
            true => self.leave(now, Exit::Hangup),
            false => self.finish(),
        }
    }

    fn deadline_reached(&mut self, now: Now) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        match self.state {
            State::Speaking { play, .. } => {
                self.trouble(Trouble::SoundNeverEnded);
                self.ask(Action::StopPlay(play));
                self.leave(now, Exit::Next);
            }
            State::Listening(_) => self.waited(now),
            _ => {}
        }
    }

    /// Hangs up, unless the caller is gone already.
    fn end(&mut self, cause: Cause) {
        if !self.gone {
            self.ask(Action::Hangup(cause));
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.state = State::Ended;
        self.emit(RunOutput::Finished);
    }
}
