//! The world: time, the network, the server and the phones, driven from one list of what comes next.

mod forking;
mod host;
mod mixing;
mod server;
mod settle;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use clock::{Duration, Now};
use media::port::PlayId;
use media::source::Clip;
use media::tap::TapFrame;
use parking_lot::Mutex;
use rtrb::Consumer;
use sip::transport::Transport;
use tandem::call::{CallId, Cause, Hearing, LegFigures, LegId};
use tandem::center::{AgentId, Wish};
use tandem::control::Control;
use tandem::demo::phone::{Heard, KeyHeard};

use crate::Random;
use crate::check::{Checks, Seen, Side, Violation};
use crate::media::{Sent, Studio};
use crate::mix::Mix;
use crate::stage::{LONGEST, Stage};
use crate::swarm::{Depth, SETTLED, Swarm};
use forking::Forked;
use host::{Host, Pair};

/// Something that will happen.
enum Task {
    ToServer(usize, Bytes, Seen),
    ToHost(usize, Bytes, Seen),
    Packet(Sent),
    Wake(usize),
    Clips(CallId, LegId, PlayId, Result<Vec<Arc<Clip>>, String>),
    Register(usize),
    Dial(usize, &'static str),
    GiveUp(usize),
    Crash(usize),
    Break(usize),
    Swap(usize),
    Wish(&'static str, bool),
    Kill,
    Listen,
    /// A phone offers anew, against an offer of the server's that is on its way.
    Glare(usize),
    /// Something between calls.
    Mix(Mix),
    Pair(Pair),
    Look,
}

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Over every output, with its time: the same seed gives the same.
    pub digest: u64,
    /// Calls that began.
    pub calls: usize,
    /// Of those, how many were bridged.
    pub bridged: usize,
    /// From INVITE to end, over all calls.
    pub lasted: Duration,
    /// How often two parties were found to hear each other.
    pub heard: usize,
    /// What each host heard in its calls, one after the other.
    pub hearings: Vec<Vec<Heard>>,
    /// The keys each host was sent.
    pub keys: Vec<Vec<KeyHeard>>,
    /// Who was not heard, or was again, and when.
    pub audio: Vec<(Now, String, Hearing)>,
    /// How the media of all legs fared, as the records have it.
    pub legs: Vec<LegFigures>,
    /// Steps the world took.
    pub steps: u64,
    /// What was put out: messages, packets, events, records.
    pub outputs: u64,
    /// Laws that were broken.
    pub violations: Vec<Violation>,
    /// The last outputs, if a law was broken or they were asked for.
    pub story: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} calls, {} bridged, {} steps",
            self.seed, self.calls, self.bridged, self.steps
        )?;
        for broken in &self.violations {
            let ms = broken.at.as_millis();
            writeln!(f, "  at {ms} ms, step {}: {}", broken.step, broken.what)?;
        }
        f.write_str(&self.story)
    }
}

/// A world under one seed.
pub struct World<'a> {
    stage: &'a Stage,
    swarm: Swarm,
    now: Now,
    tasks: BTreeMap<(Now, u64), Task>,
    next_task: u64,
    control: Control,
    studio: Arc<Mutex<Studio>>,
    hosts: Vec<Host>,
    checks: Checks,
    random: Random,
    /// Who picks what happens between calls.
    mixer: Random,
    /// When nobody does anything any more of himself.
    work_ends: Now,
    /// The work is done, every table is empty.
    quiet: bool,
    /// How often in a row the server asked to be woken at once.
    spins: u32,
    planted: bool,
    /// Recordings that are being written.
    recordings: BTreeMap<CallId, Consumer<TapFrame>>,
    /// Who has the caller's part in a call whose caller has left: the name, and the hosts of it.
    successors: BTreeMap<CallId, (String, Vec<usize>)>,
    /// INVITEs that the carrier's proxy forked.
    forked: BTreeMap<(u64, u32), Forked>,
    /// Pairs that were looked at, and heard each other.
    heard: usize,
    /// What each host heard in its calls, one after the other.
    hearings: Vec<Vec<Heard>>,
    /// What became of parties' sound, as events told.
    audio: Vec<(Now, String, Hearing)>,
    /// The figures of the records.
    legs: Vec<LegFigures>,
    /// The first event of all.
    first: Option<tandem::control::Event>,
}

/// How long after the work the tables may hold anything: a session timer that notices a crash, its
/// BYE's 64·T1, and a record that waited for both.
const QUIET_WITHIN: Duration = Duration::from_secs(420);

/// An endpoint that dials hangs up after this, whatever call it is in then.
const DIALLER_TALKS: Duration = Duration::from_secs(60);

/// How often phones listen to what came.
const LISTEN: Duration = Duration::from_millis(100);

impl<'a> World<'a> {
    /// A world in which nothing has happened yet.
    pub fn new(stage: &'a Stage, swarm: Swarm) -> Self {
        let mut random = swarm.random.clone();
        let sounding = swarm.depth == Depth::Full;
        let sounding = sounding.then_some(Duration::ZERO);
        let studio = Studio::new(swarm.workers, sounding, swarm.mischief, random.fork());
        let studio = Arc::new(Mutex::new(studio));
        let control = server::control(stage, &swarm, studio.clone(), random.next());
        let clean = swarm.media.is_clean() && swarm.cut.is_none();
        let strict = clean && swarm.mischief.ring_full == 0;
        let mut world = Self {
            stage,
            now: Now::ZERO,
            tasks: BTreeMap::new(),
            next_task: 0,
            control,
            studio,
            hosts: Vec::new(),
            checks: Checks::new(strict),
            random,
            mixer: Random::new(swarm.seed ^ 0x006d_6978_6572),
            work_ends: Now::ZERO,
            quiet: false,
            spins: 0,
            planted: false,
            recordings: BTreeMap::new(),
            successors: BTreeMap::new(),
            forked: BTreeMap::new(),
            heard: 0,
            hearings: Vec::new(),
            audio: Vec::new(),
            legs: Vec::new(),
            first: None,
            swarm,
        };
        world.people();
        world.work();
        world
    }

    /// Keeps that many outputs to be shown with a violation, instead of 50.
    #[must_use]
    pub fn showing(mut self, outputs: usize) -> Self {
        self.checks.shown = outputs;
        self.checks.asked = true;
        self
    }

    /// Lets everything happen, until all is quiet or a law is broken.
    pub fn run(mut self) -> Report {
        self.settle();
        while !self.quiet && !self.checks.is_broken() && self.step() {}
        if !self.checks.is_broken() {
            let hosts = &self.hosts;
            self.checks
                .end(|host| hosts.get(host).is_some_and(|host| host.crashed));
        }
        let (calls, bridged) = self.checks.calls.counts();
        let broken = self.checks.is_broken();
        Report {
            seed: self.swarm.seed,
            digest: self.checks.digest(),
            calls,
            bridged,
            lasted: self.checks.calls.lasted(),
            heard: self.heard,
            hearings: self.hearings,
            audio: self.audio,
            legs: self.legs,
            keys: self
                .hosts
                .iter()
                .map(|it| it.phone.keys().to_vec())
                .collect(),
            steps: self.checks.step,
            outputs: self.checks.outputs(),
            violations: self.checks.violations().to_vec(),
            story: if broken || self.checks.asked {
                self.checks.story()
            } else {
                String::new()
            },
        }
    }

    /// The phones, and what they will do.
    fn people(&mut self) {
        for callee in self.swarm.callees.clone() {
            let host = self.hosts.len();
            let seed = self.random.next();
            let made = Host::callee(host, &callee, self, seed);
            self.hosts.push(made);
            let at = [callee.registers.map(|at| (at, Task::Register(host)))];
            let crash = callee.crashes.map(|at| (at, Task::Crash(host)));
            let dial = callee.dials.map(|(at, to)| (at, Task::Dial(host, to)));
            let stops = callee
                .dials
                .map(|(at, _)| (at + DIALLER_TALKS, Task::GiveUp(host)));
            let tasks = at
                .into_iter()
                .flatten()
                .chain(crash)
                .chain(dial)
                .chain(stops);
            for (at, task) in tasks {
                self.plan(at, task);
                self.work_ends = self.work_ends.max(at);
            }
        }
        for caller in self.swarm.callers.clone() {
            let host = self.hosts.len();
            let seed = self.random.next();
            let made = Host::caller(host, &caller, self, seed);
            self.checks.calls.expect(made.phone.user().to_owned(), host);
            self.hosts.push(made);
            if !caller.number.is_empty() {
                self.plan(caller.at, Task::Dial(host, caller.number));
            }
            let gives_up = caller.at + caller.gives_up;
            self.plan(gives_up, Task::GiveUp(host));
            if let Some(after) = caller.crashes {
                self.plan(caller.at + after, Task::Crash(host));
            }
            self.work_ends = self.work_ends.max(gives_up);
        }
        for (at, mix) in self.swarm.mixes.clone() {
            self.plan(at, Task::Mix(mix));
            self.work_ends = self.work_ends.max(at);
        }
        self.plan_last_words();
    }

    /// What happens to the server.
    fn work(&mut self) {
        for (at, plan) in self.swarm.swaps.clone() {
            self.plan(at, Task::Swap(plan));
        }
        for (at, agent, yes) in self.swarm.wishes.clone() {
            self.plan(at, Task::Wish(agent, yes));
        }
        for at in self.swarm.kills.clone() {
            self.plan(at, Task::Kill);
        }
        if self.swarm.depth == Depth::Full {
            self.plan(Now::ZERO + SETTLED, Task::Listen);
        }
        // Quiet may come long before the last caller would have given up.
        let last_call = self.swarm.callers.iter().map(|it| it.at).max();
        let first_look = last_call.unwrap_or(self.work_ends) + Duration::from_secs(1);
        self.plan(first_look, Task::Look);
    }

    fn plan(&mut self, at: Now, task: Task) {
        self.tasks.insert((at, self.next_task), task);
        self.next_task += 1;
    }

    /// Does what comes next; `false` if nothing ever will.
    fn step(&mut self) -> bool {
        let task = self.tasks.keys().next().map(|(at, _)| *at);
        let server = self.control.deadline();
        let media = self.studio.lock().deadline();
        let Some(next) = [task, server, media].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        self.checks.now = self.now;
        self.checks.step += 1;
        self.studio.lock().set_now(self.now);
        if media.is_some_and(|at| at <= self.now) {
            self.studio.lock().run();
            self.settle();
        } else if server.is_some_and(|at| at <= self.now) {
            self.control.handle_timeout(self.now);
            self.spins = if self.control.deadline().is_some_and(|at| at <= self.now) {
                self.spins + 1
            } else {
                0
            };
            if self.spins > 1_000 {
                self.checks
                    .broken("the server's deadline never passes".to_owned());
            }
            self.settle();
        } else if let Some(((_, _), task)) = self.tasks.pop_first() {
            self.perform(task);
        }
        true
    }

    fn perform(&mut self, task: Task) {
        let now = self.now;
        match task {
            Task::ToServer(host, bytes, seen) => {
                let Some(flow) = self.hosts.get(host).map(|it| it.server_flow) else {
                    return;
                };
                self.checks.arrived(Side::Server, host, &seen);
                self.control.receive(now, flow, bytes);
                self.settle();
            }
            Task::ToHost(host, bytes, seen) => {
                if let Some(it) = self.hosts.get_mut(host).filter(|it| !it.crashed) {
                    self.checks.arrived(Side::Host(host), host, &seen);
                    let flow = it.own_flow;
                    it.phone.receive(now, &mut it.desk, flow, bytes);
                    self.after_host(host);
                    self.settle();
                }
            }
            Task::Packet(sent) => {
                self.studio.lock().deliver(sent.from, sent.to, &sent.bytes);
                self.settle();
            }
            Task::Wake(host) => self.wake(host),
            Task::Clips(call, leg, play, clips) => {
                self.control.clips_loaded(now, call, leg, play, clips);
                self.settle();
            }
            Task::Register(host) => self.with_phone(host, |host, now| {
                host.phone.register(now);
                // Over streams no timer of a retransmission lets it speak.
                if host.server_flow.transport == Transport::Ws {
                    host.phone.handle_timeout(now, &mut host.desk);
                }
            }),
            Task::Dial(host, number) => {
                self.with_phone(host, |host, now| {
                    host.phone.call(now, &mut host.desk, number)
                });
            }
            Task::GiveUp(host) => {
                self.with_phone(host, |host, now| host.phone.hang_up(now, &mut host.desk));
            }
            Task::Crash(host) => {
                self.checks.word(format!("host {host} crashes"));
                if let Some(it) = self.hosts.get_mut(host) {
                    it.crashed = true;
                    self.studio.lock().silent(it.server_flow.remote.ip());
                    let notices = self.random.chance(500);
                    let after = self.random.millis(0, 10_000);
                    if notices {
                        self.plan(now + after, Task::Break(host));
                    }
                }
            }
            Task::Break(host) => {
                // A datagram's path never breaks, it only stays silent.
                let flow = self.hosts.get(host).map(|it| it.server_flow);
                if let Some(flow) = flow.filter(|flow| flow.connection.is_some()) {
                    self.control.flow_failed(now, flow);
                    self.settle();
                }
            }
            Task::Swap(plan) => {
                if let Some(plan) = self.stage.plans.get(plan) {
                    self.checks.word("the plan is replaced".to_owned());
                    self.control.swap_plan(now, plan.clone());
                    self.settle();
                }
            }
            Task::Wish(agent, yes) => {
                let wish = if yes { Wish::Available } else { Wish::Away };
                // Each is an agent, and gives no reason.
                let _ = self
                    .control
                    .agent_wish(now, AgentId::new(agent), wish, None);
                self.settle();
            }
            Task::Kill => {
                if let Some(call) = self.control.calls(now).first() {
                    self.control.hang_up(now, call.call, Cause::Normal);
                    self.settle();
                }
            }
            Task::Listen => {
                for host in 0..self.hosts.len() {
                    if self.hosts.get(host).is_some_and(|it| !it.phone.is_idle()) {
                        self.with_phone(host, |host, now| {
                            host.phone.handle_timeout(now, &mut host.desk);
                        });
                    }
                }
                for frames in self.recordings.values_mut() {
                    while frames.pop().is_ok() {}
                }
                self.plan(now + LISTEN, Task::Listen);
            }
            Task::Glare(host) => self.with_phone(host, |host, now| {
                host.phone.offer_again(now, &mut host.desk);
            }),
            Task::Mix(mix) => self.on_mix(mix),
            Task::Pair(pair) => self.judge_pair(pair),
            Task::Look => self.look(),
        }
    }

    /// Looks whether all is over.
    fn look(&mut self) {
        let Some(holds) = self.holds() else {
            self.quiet = true;
            return;
        };
        let longest = self.work_ends + LONGEST.min(Duration::from_secs(30)) + QUIET_WITHIN;
        if self.now > longest {
            self.checks.broken(format!("not quiet in time: {holds}"));
        }
        self.plan(self.now + Duration::from_secs(1), Task::Look);
    }

    /// What is still held, if anything.
    fn holds(&self) -> Option<String> {
        let calls = self.control.holds();
        let counts = self.control.sip_counts();
        let ports = self.studio.lock().server_ports();
        let sip = (
            counts.transactions,
            counts.dialogs,
            counts.sessions,
            counts.timers,
        );
        let taken: u32 = self.control.trunks().trunks().map(|(_, calls)| calls).sum();
        if calls != (0, 0) || sip != (0, 0, 0, 0) || ports != (0, 0) || taken != 0 {
            return Some(format!(
                "calls and their ports {calls:?}, transactions, dialogs, sessions and timers {sip:?}, \
                 reserved and open ports {ports:?}, {taken} calls of trunks"
            ));
        }
        if !self.recordings.is_empty() {
            return Some(format!("recordings of {:?}", self.recordings.keys()));
        }
        let center = self.control.center().snapshot(self.now);
        if let Some(agent) = center.agents.iter().find(|agent| agent.call.is_some()) {
            return Some(format!("an agent's call: {agent:?}"));
        }
        if let Some(queue) = center.queues.iter().find(|queue| !queue.waiting.is_empty()) {
            return Some(format!("a place in a queue: {queue:?}"));
        }
        let alive = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| !host.crashed);
        for (index, host) in alive {
            let counts = host.phone.counts();
            if !host.phone.is_idle() || counts.sessions > 0 {
                return Some(format!("host {index} is in a call: {counts:?}"));
            }
        }
        None
    }
}
