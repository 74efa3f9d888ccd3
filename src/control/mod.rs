//! The control shard: the machines of signalling, calls, dialplans and queues, composed into one.
//!
//! The law: [`Control`] is pure. Feed it (a packet, a worker's event, a clip, a command), drain
//! [`Control::poll_output`] until `None`, then sleep until [`Control::deadline`]. It opens no socket
//! and reads no clock; the media plane it commands is a trait with two implementations, real workers
//! and the simulated world. It holds no rules of its own: who is admitted is `trunk`'s, who is served
//! is `center`'s, what is heard is the plan's. It carries words between them.
//!
//! ```text
//!   packets ─▶ UserAgent ─events─▶ Call ◀─actions─ Run ◀─ plan
//!                  ▲                │ │
//!                  └───commands─────┘ └─notices─▶ Run, Waiting ◀─▶ Center
//! ```

mod agenda;
mod attended;
mod calls;
mod carriers;
mod conferring;
mod desk;
mod door;
mod emergency;
mod event;
mod expelling;
mod facts;
mod fraud;
mod gate;
mod guard;
mod hunting;
mod inbound;
mod keys;
mod merging;
mod noting;
mod output;
mod overload;
mod pins;
mod placing;
mod queues;
mod random;
mod recording;
mod refusal;
mod refusals;
mod registering;
mod rehearsal;
mod replaced;
mod resolve;
mod setup;
mod signalling;
mod slot;
mod supervising;
mod transfers;
mod trouble;
mod voice;
mod waiting;
mod wall;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Now;
use media::bridge::BridgeId;
use media::port::{PlayId, PortId};
use media::source::Clip;
use media::worker::MediaPlane;
use sip::sdp;
use sip::transport::{Flow, ListenerId, Transport};
use sip::ua::{SessionId, UserAgent};

use crate::call::{Action, CallId, Cause, LegId};
use crate::center::{self, AgentConfig, Center};
use crate::conference::Supervisions;
use crate::dialplan::{Plan, RunInput};
use crate::trunk::{Admission, EndpointConfig, Registrar, Speaks, Trunks};

use agenda::Agenda;
use carriers::Carriers;
use expelling::Of;
use guard::Guard;
use random::Random;
use slot::Slot;
use waiting::Waiting;

pub use carriers::{TrunkSnapshot, TrunkStates};
pub use conferring::RoomSnapshot;
pub use desk::{Board, CallContext, MISSED_KEPT, MissedCall, NotWished, PATH_KEPT, PickRefused};
pub use event::{CallSnapshot, Event, What};
pub use facts::RequestFacts;
pub use gate::{Gate, Pass};
pub use guard::GuardCounts;
pub use merging::NotMerged;
pub use noting::{Captured, Note, Noted, PortFacts};
pub use output::Output;
pub use overload::{OverloadConfig, OverloadCounts};
pub use recording::RecordingSetup;
pub use refusal::Refusal;
pub use refusals::{REFUSALS_KEPT, Refusals, Refused};
pub use rehearsal::{CalleeDoes, Probe, Rehearsal, Step, Verdict, dry_plane};
pub use setup::{Listener, NameTaken, Reconfiguration, Setup};
pub use signalling::Signalling;
pub use trouble::CarrierTrouble;
pub use wall::WallClock;

/// One control shard.
pub struct Control {
    shard: u8,
    ua: UserAgent,
    listeners: Vec<Listener>,
    trunks: Trunks,
    registrar: Registrar,
    plan: Arc<Plan>,
    center: Center,
    rooms: conferring::Rooms,
    supervisions: Supervisions,
    media: Box<dyn MediaPlane + Send>,
    wall: WallClock,
    codecs: Vec<sdp::Codec>,
    inband_dtmf: bool,
    calls_max: usize,
    transfers_max: usize,
    recording: RecordingSetup,
    guard: Guard,
    holders: expelling::Holders,
    pins: pins::Pins,
    /// What the door decided about the request that the user agent looks at now.
    decided: Option<Admission>,
    /// Endpoints that the configuration does not have.
    run_time: BTreeSet<String>,
    /// How each listener is called from outside.
    hosts: Vec<(ListenerId, String)>,
    agents: Vec<AgentConfig>,
    desks: desk::Desks,
    /// Boxed: a node of the map has room for eleven, and half of them are empty.
    calls: BTreeMap<CallId, Box<Slot>>,
    sessions: HashMap<SessionId, (CallId, LegId)>,
    ports: HashMap<(u8, PortId), CallId>,
    /// Calls with outputs to drain.
    dirty: VecDeque<CallId>,
    /// Attended transfers that wait for a leg, by the call that lends it.
    merges: BTreeMap<CallId, attended::Merge>,
    agenda: Agenda,
    random: Random,
    media_keys: sdp::KeySeed,
    /// Legs that got a seed of their own.
    keyed_legs: u64,
    carriers: Carriers,
    next_call: u64,
    next_bridge: u32,
    noting: noting::Noting,
    draining: bool,
    stopped: bool,
    refusals: Refusals,
    /// What was received and waits to be served.
    intake: overload::Intake,
    outputs: VecDeque<Output>,
}

impl Control {
    /// A shard with no calls.
    pub fn new(now: Now, setup: Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let listeners = &setup.user_agent.listeners;
        let hosts = listeners
            .iter()
            .map(|it| (it.id, it.advertised_host.clone()))
            .collect();
        let spoken = setup.listeners.iter().filter(|it| !it.transport.is_web());
        let spoken = Speaks::of(spoken.map(|it| (it.transport, it.v6)));
        let mut control = Self {
            shard: setup.shard,
            ua: UserAgent::new(setup.user_agent, random.next()),
            listeners: setup.listeners,
            trunks: setup.trunks,
            registrar: setup.registrar,
            plan: setup.plan,
            center: Center::new(),
            rooms: conferring::Rooms::default(),
            supervisions: Supervisions::default(),
            media: setup.media,
            wall: setup.wall,
            codecs: setup.codecs,
            inband_dtmf: setup.inband_dtmf,
            calls_max: setup.calls_max,
            transfers_max: setup.transfers_max,
            recording: setup.recording,
            guard: Guard::new(setup.abuse, [setup.seed ^ 1, setup.seed ^ 2]),
            holders: expelling::Holders::default(),
            pins: Default::default(),
            decided: None,
            run_time: BTreeSet::new(),
            hosts,
            agents: setup.agents,
            desks: desk::Desks::default(),
            calls: BTreeMap::new(),
            sessions: HashMap::new(),
            ports: HashMap::new(),
            dirty: VecDeque::new(),
            merges: BTreeMap::new(),
            agenda: Agenda::default(),
            random,
            media_keys: setup.media_keys,
            keyed_legs: 0,
            carriers: Carriers::new(now, spoken),
            next_call: first_call(setup.wall.at(now)),
            next_bridge: 0,
            noting: noting::Noting::default(),
            draining: false,
            stopped: false,
            refusals: Refusals::default(),
            intake: overload::Intake::new(OverloadConfig::default(), now, setup.seed),
            outputs: VecDeque::new(),
        };
        control.trunks.set_wall(now, control.wall.at(now));
        control.configure_center(now);
        control.configure_registrations(now);
        control.walk_names(now);
        control.pump(now);
        control
    }

    /// A connection failed, or could not be made.
    pub fn flow_failed(&mut self, now: Now, flow: Flow) {
        self.guard.flow_failed(flow);
        self.holders.forget(flow);
        self.ua.flow_failed(now, flow);
        self.registrar.flow_failed(now, flow);
        self.pump(now);
    }

    /// Takes what the media workers have to say.
    pub fn poll_media(&mut self, now: Now) {
        while let Some((worker, event)) = self.media.poll_event() {
            self.on_media(now, worker, event);
        }
        self.pump(now);
    }

    /// Takes the clips of an [`Output::LoadClips`].
    pub fn clips_loaded(
        &mut self,
        now: Now,
        call: CallId,
        leg: LegId,
        play: PlayId,
        clips: Result<Vec<Arc<Clip>>, String>,
    ) {
        let clips = self.announce(play, clips);
        if let Some((slot, clips)) = self.calls.get_mut(&call).zip(clips) {
            slot.call.clips_loaded(leg, play, clips);
            self.dirty.push_back(call);
        }
        self.pump(now);
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.look_after_load(now);
        if self.ua.deadline().is_some_and(|at| at <= now) {
            self.ua.handle_timeout(now);
        }
        if self.registrar.deadline().is_some_and(|at| at <= now) {
            self.registrar.handle_timeout(now);
        }
        if self.center.deadline().is_some_and(|at| at <= now) {
            self.center.handle(now, center::Input::Deadline);
        }
        if self.carriers.deadline().is_some_and(|at| at <= now) {
            self.keep_carriers(now);
        }
        if self.trunks.deadline().is_some_and(|at| at <= now) {
            self.trunks.handle_timeout(now);
        }
        if self.credentials_deadline().is_some_and(|at| at <= now) {
            self.end_credentials(now);
        }
        while let Some(call) = self.agenda.pop_due(now) {
            if let Some(slot) = self.calls.get_mut(&call) {
                slot.call.handle_timeout(now);
                if let Some(run) = &mut slot.run {
                    run.handle(now, RunInput::Deadline);
                }
            }
            self.dirty.push_back(call);
        }
        self.pump(now);
    }

    /// When [`Control::handle_timeout`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        let machines = [
            self.ua.deadline(),
            self.registrar.deadline(),
            self.center.deadline(),
            self.trunks.deadline(),
            self.agenda.next(),
            self.carriers.deadline(),
            self.credentials_deadline(),
            self.load_deadline(),
        ];
        machines.into_iter().flatten().min()
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Puts new dialplans in force; live calls keep theirs.
    pub fn swap_plan(&mut self, now: Now, plan: Arc<Plan>) {
        self.plan = plan;
        self.configure_center(now);
        self.pump(now);
    }

    /// Takes no new calls from now on: 503 with Retry-After. Live calls go on.
    pub fn drain(&mut self) {
        self.draining = true;
        self.carriers.leaving = true;
    }

    /// The server is going: its owner drops the control shard at the next occasion.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether [`Control::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Puts a new configuration and dialplan in force, both or neither. Live calls keep their plan,
    /// run-time endpoints and registrations of endpoints that stay are kept.
    ///
    /// # Errors
    /// [`NameTaken`] if an endpoint of the new configuration was made at run time: nothing changes.
    pub fn reconfigure(&mut self, now: Now, new: Reconfiguration) -> Result<(), NameTaken> {
        let Reconfiguration {
            plan,
            trunks,
            mut endpoints,
            agents,
            codes,
            logins,
            emergency,
            overload,
            abuse,
        } = new;
        if let Some(taken) = endpoints.iter().find(|it| self.is_run_time(&it.name)) {
            return Err(NameTaken(taken.name.clone()));
        }
        let made = self.run_time.iter();
        let made = made.filter_map(|name| self.trunks.endpoint(name));
        endpoints.extend(made.map(|endpoint| (**endpoint).clone()));
        let stays = |name: &str| endpoints.iter().any(|it| it.name == name);
        let gone = self.trunks.endpoints().map(|it| it.name.clone());
        let gone: Vec<String> = gone.filter(|name| !stays(name)).collect();
        for endpoint in gone {
            self.expel(now, &endpoint, Of::Endpoint);
        }
        self.registrar.configure(&endpoints);
        self.trunks.configure(now, trunks, endpoints);
        self.set_logins(now, &logins);
        self.trunks.set_emergency(emergency);
        self.set_overload(overload);
        self.guard.configure(abuse);
        self.agents = agents;
        self.set_codes(codes);
        self.forget_missed();
        self.plan = plan;
        self.configure_center(now);
        self.configure_registrations(now);
        self.walk_names(now);
        self.pump(now);
        Ok(())
    }

    /// Ends one call; `false` if there is none of that name.
    pub fn hang_up(&mut self, now: Now, call: CallId, cause: Cause) -> bool {
        let there = self.ask(now, call, Action::Hangup(cause));
        self.pump(now);
        there
    }

    /// Ends every call, for a drain whose time is up.
    pub fn hang_up_all(&mut self, now: Now, cause: Cause) {
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            self.ask(now, call, Action::Hangup(cause));
        }
        self.pump(now);
    }

    /// The state of queues and agents.
    pub fn center(&self) -> &Center {
        &self.center
    }

    /// Where datagrams come in.
    pub fn udp_listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let udp = |it: &&Listener| it.transport == Transport::Udp;
        self.listeners.iter().filter(udp).map(|it| it.bound)
    }

    /// Trunks and endpoints.
    pub fn trunks(&self) -> &Trunks {
        &self.trunks
    }

    /// Takes an endpoint that was made at run time.
    pub fn put_endpoint(&mut self, endpoint: EndpointConfig) {
        self.run_time.insert(endpoint.name.clone());
        self.trunks.put_endpoint(endpoint);
    }

    /// Forgets an endpoint that was made at run time, and puts out whoever is there as it.
    pub fn remove_endpoint(&mut self, now: Now, name: &str) {
        self.run_time.remove(name);
        self.trunks.remove_endpoint(name);
        self.expel(now, name, Of::Endpoint);
    }

    /// Whether an entry of the dialplan takes that number from outside.
    pub fn has_entry(&self, number: &str) -> bool {
        self.plan.entry(number).is_some()
    }

    /// Whether the endpoint is a telephony credential's.
    pub fn is_credential(&self, endpoint: &str) -> bool {
        self.trunks.roll().is_credential(endpoint)
    }

    /// Whether the endpoint was made at run time, not by the configuration.
    pub fn is_run_time(&self, endpoint: &str) -> bool {
        self.run_time.contains(endpoint)
    }

    /// Takes a registration back from the store.
    pub fn restore(&mut self, now: Now, row: crate::trunk::Row) {
        self.registrar.restore(now, row);
        self.pump(now);
    }

    /// Where an endpoint is registered now: contact, true source, how long it holds.
    pub fn contacts(&self, now: Now, endpoint: &str) -> Vec<(String, SocketAddr, Duration)> {
        self.registrar.bindings(now, endpoint)
    }

    /// How many contacts are registered.
    pub fn registrations(&self) -> usize {
        self.registrar.len()
    }

    /// Whether new calls are refused because the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Names of the configured agents.
    pub fn agents(&self) -> &[AgentConfig] {
        &self.agents
    }

    /// What the SIP machine holds and has done.
    pub fn sip_counts(&self) -> sip::ua::Counts {
        self.ua.counts()
    }

    /// Calls that live, and ports they hold.
    pub fn holds(&self) -> (usize, usize) {
        (self.calls.len(), self.ports.len())
    }

    /// The live calls, the oldest first.
    pub fn calls(&self, now: Now) -> Vec<CallSnapshot> {
        self.calls.values().map(|slot| slot.snapshot(now)).collect()
    }

    /// Drains every machine into every other until all are quiet.
    fn pump(&mut self, now: Now) {
        loop {
            if let Some(output) = self.ua.poll_before_trying() {
                self.on_sip(now, output);
            } else if let Some(call) = self.dirty.pop_front() {
                self.drive(now, call);
            } else if let Some(output) = self.center.poll_output() {
                self.on_center(now, output);
            } else if let Some(duty) = self.supervisions.poll_output() {
                self.on_duty(now, duty);
            } else if let Some(said) = self.rooms.machine.poll_output() {
                self.on_conference(now, said);
            } else if let Some(word) = self.trunks.poll_word() {
                self.on_ledger(now, word);
            } else if let Some(change) = self.registrar.poll_output() {
                self.on_registered(now, change);
            } else if let Some(output) = self.ua.poll_output() {
                self.on_sip(now, output);
            } else {
                break;
            }
        }
    }

    /// A name for a bridge, of a call or a room, that no other has.
    fn new_bridge(&mut self) -> BridgeId {
        self.next_bridge = self.next_bridge.wrapping_add(1);
        BridgeId(self.next_bridge)
    }

    fn event(&mut self, now: Now, call: CallId, what: What) {
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: Some(call),
            what,
        }));
    }
}

/// Where a start begins to number its calls, so that no id is ever given twice: milliseconds since
/// 1970, with room for 4,096 calls in each. They leave the 56 bits of an index in the year 2527.
fn first_call(wall: jiff::Timestamp) -> u64 {
    u64::try_from(wall.as_millisecond()).unwrap_or(0) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_restart_have_other_ids_than_those_of_the_run_before() {
        let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
        let started = 1_795_000_000_000;
        // A start takes longer than a millisecond, in which no 4,096 calls begin.
        let last = CallId::new(3, first_call(at(started)) + 4_095);
        let next = CallId::new(3, first_call(at(started + 1)));
        assert!(last < next);
        assert_eq!((last.shard(), next.shard()), (3, 3));
        let far = at(16_000_000_000_000);
        assert_eq!(CallId::new(3, first_call(far)).shard(), 3);
        assert!(next < CallId::new(3, first_call(far)));
    }
}
