//! The order in which a trunk's targets are tried, and what is tried after a refusal.

use std::collections::VecDeque;

use clock::{Duration, Now};
use sip::message::{Message, Name, NameAddr, Uri};
use sip::transport::Transport;

use super::binding::thousandths;
use super::contact::Target;
use super::file::TrunkConfig;
use super::hop::{Host, NextHop};
use super::locate::{Located, Randomness, Speaks, locate, weighted};
use super::names::NameCache;

/// How a trunk's calls are led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Whose contacts of a 3xx are followed (`redirect`).
    pub redirect: Redirect,
    /// How long a target may say nothing at all before the next is tried (`target_timeout`); by datagrams
    /// see [`Routing::patience_by`].
    pub patience: Duration,
}

/// Which contacts of a 3xx are tried (RFC 3261 §8.1.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// None.
    Off,
    /// Those whose host is one of the trunk's own.
    #[default]
    Same,
    /// All: the carrier decides whom this server calls.
    Any,
}

/// One thing to try: an address, and what the request says there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Where.
    pub target: Target,
    /// The host that was asked for, and so the name that a certificate there must have.
    pub host: Host,
    /// The Route header that leads through an outbound proxy.
    pub route: Option<String>,
    /// The Request-URI's part behind the user, or a whole URI that a redirection gave.
    pub uri: HopUri,
}

/// What a request to a hop is addressed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HopUri {
    /// `sip:USER@` and this.
    Tail(String),
    /// This, as a redirection gave it.
    Whole(String),
}

/// Where one leg of a trunk has been sent, and where it may be sent yet.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Where it is now.
    pub current: Hop,
    waiting: VecDeque<Hop>,
    redirect: Redirect,
    /// Hosts that [`Redirect::Same`] allows: names and addresses of the trunk's targets.
    own: Vec<Host>,
    redirects_left: u8,
    /// What was addressed already: a redirection to it is a loop.
    asked: Vec<String>,
    /// The callee's phone has rung: who it is was found, so nobody else is tried for its silence.
    rang: bool,
}

/// What ended a try.
#[derive(Clone, Copy, Debug)]
pub enum Setback<'a> {
    /// Nothing came within the patience, or the transaction timed out.
    Silence,
    /// The way there broke, or was never there.
    Unreachable,
    /// It refused.
    Refused(u16, &'a Message),
}

/// What follows a setback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try the next target, if there is one.
    Next,
    /// Try these URIs, best first, then the targets that are left.
    Redirected(Vec<String>),
    /// Whoever was reached has answered: it is the call's answer.
    Over,
}

impl Routing {
    /// What holds for a trunk that says nothing.
    pub const USUAL: Self = Self {
        redirect: Redirect::Same,
        patience: PATIENCE,
    };

    /// How long a target that is asked by that transport may say nothing: by UDP until its third INVITE had
    /// its time to be answered, or one lost datagram would be a dead target.
    pub fn patience_by(&self, transport: Transport) -> Duration {
        match transport {
            Transport::Udp => self.patience.max(THREE_INVITES),
            _ => self.patience,
        }
    }
}

impl Default for Routing {
    fn default() -> Self {
        Self::USUAL
    }
}

/// A trunk's hops in the order in which they are tried: by priority and weight as configured, each
/// target's addresses as DNS orders them.
pub fn hops(
    now: Now,
    trunk: &TrunkConfig,
    speaks: &Speaks,
    names: &mut NameCache,
    random: Randomness<'_>,
) -> (Vec<Hop>, Located) {
    let items = trunk.targets.iter();
    let items = items
        .map(|it| ((it.priority, it.weight), &it.hop))
        .collect();
    let mut hops: Vec<Hop> = Vec::new();
    let mut sum = Located::default();
    for next in weighted(items, random) {
        let by = trunk.proxy.as_ref().unwrap_or(next);
        let found = locate(now, by, speaks, names, random);
        sum.asking |= found.asking;
        sum.trouble.extend(found.trouble);
        for target in found.targets {
            let tail = match trunk.proxy {
                None => uri_tail(next, target),
                Some(_) => next.uri_tail(),
            };
            let uri = HopUri::Tail(tail);
            if !hops
                .iter()
                .any(|hop| hop.target == target && hop.uri == uri)
            {
                hops.push(Hop {
                    target,
                    host: by.host.clone(),
                    route: trunk
                        .proxy
                        .as_ref()
                        .map(|by| format!("<sip:{};lr>", by.uri_tail())),
                    uri,
                });
            }
        }
    }
    hops.truncate(HOPS_MAX);
    sum.targets = hops.iter().map(|hop| hop.target).collect();
    (hops, sum)
}

/// A numeric target is addressed by its address; a name by itself, as RFC 3263 wants it.
fn uri_tail(next: &NextHop, target: Target) -> String {
    match &next.host {
        Host::Ip(_) => NextHop {
            port: Some(target.address.port()),
            transport: Some(target.transport),
            host: next.host.clone(),
        }
        .uri_tail(),
        Host::Name(_) => next.uri_tail(),
    }
}

impl Hop {
    /// The host part of a URI that is nobody's in particular: for OPTIONS.
    pub fn host_tail(&self) -> String {
        match &self.uri {
            HopUri::Tail(tail) => tail.clone(),
            HopUri::Whole(_) => self.target.address.to_string(),
        }
    }

    /// The Request-URI for `user`, already escaped.
    pub fn request_uri(&self, user: &str) -> String {
        match &self.uri {
            HopUri::Tail(tail) => format!("sip:{user}@{tail}"),
            HopUri::Whole(uri) => uri.clone(),
        }
    }
}

impl Hunt {
    /// A hunt that begins at the first of `hops`; `None` if there are none.
    pub fn begin(trunk: &TrunkConfig, hops: Vec<Hop>) -> Option<Self> {
        let mut waiting: VecDeque<Hop> = hops.into();
        let current = waiting.pop_front()?;
        let mut own: Vec<Host> = trunk
            .targets
            .iter()
            .map(|target| target.hop.host.clone())
            .collect();
        let addresses = waiting.iter().chain([&current]);
        own.extend(addresses.map(|hop| Host::Ip(hop.target.address.ip())));
        Some(Self {
            current,
            waiting,
            redirect: trunk.routing.redirect,
            own,
            redirects_left: REDIRECTS_MAX,
            asked: Vec::new(),
            rang: false,
        })
    }

    /// The callee rings, or early media comes: 180 to 199.
    pub fn rings(&mut self) {
        self.rang = true;
    }

    /// What a setback of the current hop means.
    pub fn on_setback(&mut self, setback: Setback<'_>) -> Verdict {
        match setback {
            Setback::Silence | Setback::Refused(408, _) if self.rang => Verdict::Over,
            Setback::Silence | Setback::Unreachable => Verdict::Next,
            Setback::Refused(408 | 500..=599, _) => Verdict::Next,
            Setback::Refused(301 | 302 | 305, response) => self.redirected(response),
            Setback::Refused(..) => Verdict::Over,
        }
    }

    /// The contacts of a 3xx that may be tried, in order of q.
    fn redirected(&mut self, response: &Message) -> Verdict {
        if self.redirect == Redirect::Off || self.redirects_left == 0 {
            return Verdict::Over;
        }
        self.redirects_left -= 1;
        let mut contacts: Vec<(u16, String)> = Vec::new();
        for contact in response.contacts().filter_map(Result::ok) {
            let uri = contact.uri.as_str();
            let own = NextHop::of_uri(&contact.uri)
                .is_some_and(|hop| self.redirect == Redirect::Any || self.own.contains(&hop.host));
            let is_new = !self.asked.iter().any(|asked| asked == uri);
            if own && is_new && self.asked.len() < ASKED_MAX {
                self.asked.push(uri.to_owned());
                contacts.push((q_of(&contact).unwrap_or(1_000), uri.to_owned()));
            }
        }
        if contacts.is_empty() {
            return Verdict::Over;
        }
        contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
        Verdict::Redirected(contacts.into_iter().map(|(_, uri)| uri).collect())
    }

    /// Puts hops before those that wait.
    pub fn prefer(&mut self, hops: Vec<Hop>) {
        for hop in hops.into_iter().rev() {
            self.waiting.push_front(hop);
        }
        self.waiting.truncate(HOPS_MAX);
    }

    /// Whether a hop waits for which `fits` holds.
    pub fn has_next(&self, fits: impl Fn(&Hop) -> bool) -> bool {
        self.waiting.iter().any(fits)
    }

    /// Goes on to the next hop for which `fits` holds; `false` if there is none.
    pub fn advance(&mut self, fits: impl Fn(&Hop) -> bool) -> bool {
        while let Some(hop) = self.waiting.pop_front() {
            if fits(&hop) {
                self.current = hop;
                return true;
            }
        }
        false
    }

    /// Notes what the current hop is addressed by, so that no redirection leads there again.
    pub fn addressed(&mut self, request_uri: &str) {
        if self.asked.len() < ASKED_MAX && !self.asked.iter().any(|asked| asked == request_uri) {
            self.asked.push(request_uri.to_owned());
        }
    }
}

/// The preference of a contact, in thousandths (RFC 3261 §20.10).
fn q_of(contact: &NameAddr<'_>) -> Option<u16> {
    contact.params.get("q").and_then(thousandths)
}

/// The hops of a URI that a redirection gave.
pub fn redirected_hops(
    now: Now,
    uri: &str,
    speaks: &Speaks,
    names: &mut NameCache,
    random: Randomness<'_>,
) -> (Vec<Hop>, bool) {
    let Some(next) = Uri::parse(uri).ok().and_then(|uri| NextHop::of_uri(&uri)) else {
        return (Vec::new(), false);
    };
    let found = locate(now, &next, speaks, names, random);
    let hop = |target| Hop {
        target,
        host: next.host.clone(),
        route: None,
        uri: HopUri::Whole(uri.to_owned()),
    };
    let hops = found.targets.into_iter().map(hop).collect();
    (hops, found.asking)
}

/// What a Retry-After asks for, within [`REST_MAX`] (RFC 3261 §20.33).
pub fn retry_after(response: &Message) -> Option<Duration> {
    let value = response.header(Name::RetryAfter)?;
    let digits = value.trim_start();
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let secs: u64 = digits.get(..end)?.parse().ok()?;
    Some(Duration::from_secs(secs).min(REST_MAX))
}

/// Addresses that one call is offered to.
pub const HOPS_MAX: usize = 32;
/// Redirections that one call follows.
pub const REDIRECTS_MAX: u8 = 5;
/// URIs that are remembered against loops: no redirection has more contacts than anybody tries.
const ASKED_MAX: usize = 64;
/// Long enough for a carrier's 100 over a satellite, and a caller does not hang up yet.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// 4·T1: an INVITE goes at 0, T1 and 3·T1 (RFC 3261 §17.1.1.2). Where each way loses a datagram in five, one
/// INVITE in three is not answered, and three in a row are one time in twenty.
const THREE_INVITES: Duration = Duration::from_secs(2);
/// The longest rest that a Retry-After gives a target: no carrier shuts itself out for a day.
pub const REST_MAX: Duration = Duration::from_secs(300);
