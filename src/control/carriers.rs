//! What is known of carriers beside their calls: names, health. The walk that keeps it fresh.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use clock::Now;
use sip::message::{Message, Method};
use sip::transport::Flow;
use sip::ua::{OutOfDialog, RequestId};

use super::hunting::{Hunts, Pending};
use super::trouble::CarrierTrouble;
use super::{Control, Event, Output, What};
use crate::trunk::{
    Answer, Health, HealthChange, Hop, Located, NameCache, NextHop, Ordered, Pong, Question,
    Registration, RegistrationState, Speaks, Target, TargetHealth, TargetState, TrunkConfig, hops,
    locate,
};

/// A trunk as the API and the operator see it.
#[derive(Clone, Debug)]
pub struct TrunkSnapshot {
    /// Its name.
    pub name: String,
    /// Its calls now, both ways.
    pub calls: u32,
    /// When this was so.
    pub at: Now,
    /// Its targets.
    pub targets: Vec<TargetHealth>,
    /// Our registration with it: where it stands, for how long, why.
    pub registration: Option<(RegistrationState, Duration, String)>,
}

/// A trunk in figures: what a gauge shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkStates {
    /// Its name.
    pub name: String,
    /// How many of its targets are in each state.
    pub targets: [(TargetState, usize); 4],
    /// Whether we are registered with it; `None` where we do not want to be.
    pub registered: Option<bool>,
}

/// Everything about carriers that outlives a call.
pub(super) struct Carriers {
    /// What DNS has said.
    pub(super) names: NameCache,
    /// What this server sends by.
    pub(super) speaks: Speaks,
    /// Targets and their health, by trunk.
    pub(super) health: BTreeMap<String, Health>,
    /// Dialled legs that have not been answered.
    pub(super) hunts: Hunts,
    /// Diallings that wait for a name.
    pub(super) pending: Vec<Pending>,
    /// OPTIONS under way.
    pings: HashMap<RequestId, (String, Target)>,
    /// Our registrations, by trunk, and their REGISTERs under way.
    pub(super) registrations: BTreeMap<String, Registration>,
    pub(super) registers: HashMap<RequestId, String>,
    /// Registrations are to be taken back: the server goes down.
    pub(super) leaving: bool,
    /// Names of access lists, by trunk, of which it was told that they are nobody's.
    nobodies: BTreeSet<(String, String)>,
    /// When names were walked last, and when they are to be walked again.
    walked: Now,
    walk_at: Option<Now>,
}

impl Carriers {
    pub(super) fn new(now: Now, speaks: Speaks) -> Self {
        Self {
            names: NameCache::default(),
            speaks,
            health: BTreeMap::new(),
            hunts: Hunts::default(),
            pending: Vec::new(),
            pings: HashMap::new(),
            registrations: BTreeMap::new(),
            registers: HashMap::new(),
            leaving: false,
            nobodies: BTreeSet::new(),
            walked: now,
            walk_at: Some(now),
        }
    }

    /// When [`Control::keep_carriers`] is next due.
    pub(super) fn deadline(&self) -> Option<Now> {
        let health = self.health.values().filter_map(Health::deadline).min();
        let registrations = self.registrations.values();
        let registrations = registrations.filter_map(Registration::deadline).min();
        let leaving = self.leaving.then_some(self.walked);
        let pending = self.pending.iter().map(|pending| pending.until).min();
        let own = [self.walk_at, health, pending, registrations, leaving];
        own.into_iter()
            .chain([self.hunts.deadline()])
            .flatten()
            .min()
    }
}

impl Control {
    /// Every trunk with its targets and our registration.
    pub fn trunk_snapshots(&self, now: Now) -> Vec<TrunkSnapshot> {
        let snapshot = |(trunk, calls): (&std::sync::Arc<TrunkConfig>, u32)| {
            let health = self.carriers.health.get(&trunk.name);
            let registration = self.carriers.registrations.get(&trunk.name);
            TrunkSnapshot {
                name: trunk.name.clone(),
                calls,
                at: now,
                targets: health.map(|it| it.targets().to_vec()).unwrap_or_default(),
                registration: registration.map(|it| {
                    let (state, since, why) = it.state();
                    (state, now - since, why.to_owned())
                }),
            }
        };
        self.trunks.trunks().map(snapshot).collect()
    }

    /// How many targets of each trunk are in each state, and whether we are registered with it where we
    /// want to be.
    pub fn trunk_states(&self, now: Now) -> Vec<TrunkStates> {
        let states = |(trunk, _): (&std::sync::Arc<TrunkConfig>, u32)| {
            let targets = self.carriers.health.get(&trunk.name);
            let targets = targets.map(Health::targets).unwrap_or_default();
            let count = |state| targets.iter().filter(|it| it.state == state).count();
            let registration = self.carriers.registrations.get(&trunk.name);
            TrunkStates {
                name: trunk.name.clone(),
                targets: TargetState::ALL.map(|state| (state, count(state))),
                registered: registration.map(|it| it.stands(now)),
            }
        };
        self.trunks.trunks().map(states).collect()
    }

    /// Sends an OPTIONS to each target of a trunk now; `false` if there is no such trunk.
    pub fn ping_trunk(&mut self, now: Now, trunk: &str) -> bool {
        let Some(health) = self.carriers.health.get_mut(trunk) else {
            return false;
        };
        health.ask_now(now);
        self.keep_carriers(now);
        self.pump(now);
        true
    }

    /// Takes the answer to an [`Output::Resolve`].
    pub fn resolved(&mut self, now: Now, question: &Question, answer: Answer) {
        if let Answer::Failed(why) = &answer {
            let (question, why) = (question.clone(), why.clone());
            let trouble = CarrierTrouble::NameDead { question, why };
            self.tell(now, What::Trouble(trouble.explanation()));
        }
        self.carriers.names.answered(now, question, answer);
        self.walk_names(now);
        self.take_up(now);
        self.pump(now);
    }

    /// Acts on what is due about carriers.
    pub(super) fn keep_carriers(&mut self, now: Now) {
        if self.carriers.walk_at.is_some_and(|at| at <= now) {
            self.walk_names(now);
        }
        self.take_up(now);
        self.lose_patience(now);
        self.keep_registrations(now);
        let trunks: Vec<String> = self.carriers.health.keys().cloned().collect();
        for trunk in trunks {
            self.overdue_pings(now, &trunk);
            self.send_pings(now, &trunk);
        }
    }

    /// Looks every trunk's targets up again: what is no longer good is asked for, what has changed is
    /// taken over. Calls find it done.
    pub(super) fn walk_names(&mut self, now: Now) {
        let trunks: Vec<_> = self.trunks.trunks().map(|(it, _)| it.clone()).collect();
        let stays = |name: &String| trunks.iter().any(|trunk| trunk.name == *name);
        self.carriers.health.retain(|name, _| stays(name));
        self.carriers.nobodies.retain(|(name, _)| stays(name));
        for trunk in &trunks {
            let (speaks, names) = (&self.carriers.speaks, &mut self.carriers.names);
            let random = &mut || self.random.next();
            let (found, _) = hops(now, trunk, speaks, names, random);
            let addresses = found.iter().map(|hop| hop.target.address.ip()).collect();
            let others = self.other_sources(now, trunk);
            self.trunks.learn(&trunk.name, addresses, others);
            let health = self.carriers.health.entry(trunk.name.clone()).or_default();
            health.configure(trunk.health);
            health.set_targets(now, &found, || self.random.next());
        }
        self.carriers.walked = now;
        self.carriers.walk_at = self.carriers.names.deadline(now);
        self.ask_names();
    }

    /// Who may call by a trunk besides its targets: where we are registered, and the names of `addresses`.
    fn other_sources(&mut self, now: Now, trunk: &TrunkConfig) -> Vec<IpAddr> {
        let mut found = Vec::new();
        let registrar = trunk.registration.as_ref().map(|it| &it.registrar);
        let named = trunk.source_names.iter().map(|name| (name, true));
        for (hop, is_named) in registrar.map(|it| (it, false)).into_iter().chain(named) {
            let (speaks, names) = (&self.carriers.speaks, &mut self.carriers.names);
            let located = locate(now, hop, speaks, names, &mut || self.random.next());
            found.extend(located.targets.iter().map(|it| it.address.ip()));
            if is_named {
                self.tell_source(now, (&trunk.name, hop), &located);
            }
        }
        found
    }

    /// Tells once that a name of an access list is nobody's, until it is somebody's.
    fn tell_source(&mut self, now: Now, (trunk, name): (&str, &NextHop), located: &Located) {
        let key = (trunk.to_owned(), name.to_string());
        if !located.targets.is_empty() {
            self.carriers.nobodies.remove(&key);
        } else if !located.asking && self.carriers.nobodies.insert(key.clone()) {
            let (trunk, name) = key;
            let why = located.trouble.clone();
            let trouble = CarrierTrouble::NoSource { trunk, name, why };
            self.tell(now, What::Trouble(trouble.explanation()));
        }
    }

    /// Hands out the questions that were noted.
    pub(super) fn ask_names(&mut self) {
        while let Some(question) = self.carriers.names.poll_question() {
            self.outputs.push_back(Output::Resolve(question));
        }
        if self.carriers.walk_at.is_none() {
            self.carriers.walk_at = self.carriers.names.deadline(self.carriers.walked);
        }
    }

    /// A trunk's hops in the order in which a call should try them, and what is in the way.
    pub(super) fn hops_of(&mut self, now: Now, trunk: &TrunkConfig) -> (Ordered, Located) {
        let (speaks, names) = (&self.carriers.speaks, &mut self.carriers.names);
        let (found, sum) = hops(now, trunk, speaks, names, &mut || self.random.next());
        self.ask_names();
        let ordered = match self.carriers.health.get(&trunk.name) {
            Some(health) => health.order(now, found),
            None => Health::default().order(now, found),
        };
        (ordered, sum)
    }

    fn send_pings(&mut self, now: Now, trunk: &str) {
        let Some(health) = self.carriers.health.get_mut(trunk) else {
            return;
        };
        for hop in health.due(now) {
            let target = hop.target;
            match self
                .flow_to_hop(trunk, &hop)
                .and_then(|flow| self.ping(now, flow, &hop))
            {
                Some(request) => {
                    let of = (trunk.to_owned(), target);
                    self.carriers.pings.insert(request, of);
                }
                None => self.on_pong(
                    now,
                    trunk,
                    target,
                    &Pong::Failed("no OPTIONS could be sent"),
                ),
            }
        }
    }

    fn overdue_pings(&mut self, now: Now, trunk: &str) {
        let Some(health) = self.carriers.health.get(trunk) else {
            return;
        };
        for target in health.overdue(now) {
            let of = |(_, (name, pinged)): &(&RequestId, &(String, Target))| {
                name == trunk && *pinged == target
            };
            let request = self.carriers.pings.iter().find(of).map(|(id, _)| *id);
            if let Some(request) = request {
                self.carriers.pings.remove(&request);
                self.ua.forget_request(request);
            }
            self.on_pong(now, trunk, target, &Pong::Failed("no answer to OPTIONS"));
        }
    }

    /// Sends one OPTIONS (RFC 3261 §11).
    fn ping(&mut self, now: Now, flow: Flow, hop: &Hop) -> Option<RequestId> {
        let uri = format!("sip:{}", hop.host_tail());
        let route = hop
            .route
            .iter()
            .map(|route| ("Route".to_owned(), route.clone()));
        let accept = ("Accept".to_owned(), "application/sdp".to_owned());
        let host = self.host_of(flow).to_owned();
        let options = OutOfDialog {
            method: Method::Options,
            to: format!("<{uri}>"),
            request_uri: uri,
            flow,
            from: format!("<sip:tandem@{host}>"),
            contact_user: Some("tandem".to_owned()),
            headers: route.chain([accept]).collect(),
            body: None,
            credentials: None,
        };
        self.ua.request(now, options).ok()
    }

    /// A request of ours outside any dialog came to its end.
    pub(super) fn on_response(
        &mut self,
        now: Now,
        request: RequestId,
        status: u16,
        response: Option<&Message>,
    ) {
        if self.on_register_response(now, request, status, response) {
            return;
        }
        let Some((trunk, target)) = self.carriers.pings.remove(&request) else {
            return;
        };
        let pong = if response.is_some() {
            Pong::Answered(status)
        } else {
            Pong::Failed("the way to it broke")
        };
        self.on_pong(now, &trunk, target, &pong);
    }

    fn on_pong(&mut self, now: Now, trunk: &str, target: Target, pong: &Pong) {
        let health = self.carriers.health.get_mut(trunk);
        let change = health.and_then(|health| health.on_pong(now, target, pong));
        self.tell_health(now, trunk, change);
    }

    /// A call's request was answered by that target.
    pub(super) fn target_lives(&mut self, now: Now, trunk: &str, target: Target) {
        let health = self.carriers.health.get_mut(trunk);
        let change = health.and_then(|health| health.proven(now, target));
        self.tell_health(now, trunk, change);
    }

    /// A call had no use of that target.
    pub(super) fn target_fails(
        &mut self,
        now: Now,
        trunk: &str,
        target: Target,
        (why, rest): (&str, Option<Duration>),
    ) {
        let health = self.carriers.health.get_mut(trunk);
        let change = health.and_then(|health| health.setback(now, target, why, rest));
        self.tell_health(now, trunk, change);
    }

    fn tell_health(&mut self, now: Now, trunk: &str, change: Option<HealthChange>) {
        if let Some(change) = change {
            let what = What::Target {
                trunk: trunk.to_owned(),
                target: change.target,
                state: change.state,
                why: change.reason,
            };
            self.tell(now, what);
        }
    }

    /// Tells something that belongs to no call.
    pub(super) fn tell(&mut self, now: Now, what: What) {
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: None,
            what,
        }));
    }
}
