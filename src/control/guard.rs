//! What a source may cost us: banned or heard, how many bytes it gets, how many INVITEs it has, and how
//! many lines of log.
//!
//! A UDP source is *unproven* until a message from it holds something that only a receiver of our
//! messages knows: the tag of a dialog of ours, the branch of a request of ours, a nonce. Until then it
//! may be forged, and what we send may hit somebody who never asked; so it gets at most
//! [`AbuseConfig::amplification`] times the bytes that came from it.

use std::collections::HashSet;
use std::net::SocketAddr;

use clock::{Duration, Now};
use sip::transport::{ConnectionId, Flow, Transport};

use crate::trunk::{AbuseConfig, Ban, Bans, Crowd, Origin};

/// Bans, budgets and counts.
#[derive(Debug)]
pub(super) struct Guard {
    config: AbuseConfig,
    bans: Bans,
    peers: Crowd<Peer>,
    /// Connections whose peer was vouched for.
    vouched: HashSet<ConnectionId>,
    lines: Lines,
    counts: GuardCounts,
}

/// What was turned away, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardCounts {
    /// Messages of banned sources, not read.
    pub banned: u64,
    /// Messages not sent because an unproven source had had its share.
    pub over_budget: u64,
    /// INVITEs of sources that had too many open.
    pub invites: u64,
    /// Failed proofs of who somebody is.
    pub failures: u64,
    /// Bans that began.
    pub bans: u64,
    /// Sources remembered for their failures.
    pub remembered: usize,
    /// Log lines left out.
    pub untold: u64,
}

/// One UDP source. Times are seconds of the clock.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    received: u32,
    sent: u32,
    seen: u32,
    /// Until when it counts as proven; 0: it never was.
    proven: u32,
    invites_since: u32,
    invites: u16,
}

/// How many lines were told in the current second.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    second: u32,
    told: u32,
}

impl Guard {
    pub(super) fn new(config: AbuseConfig, seeds: [u64; 2]) -> Self {
        Self {
            bans: Bans::new(config.bans.clone(), seeds[0]),
            peers: Crowd::new(PEERS_MAX, seeds[1]),
            config,
            vouched: HashSet::new(),
            lines: Lines::default(),
            counts: GuardCounts::default(),
        }
    }

    pub(super) fn configure(&mut self, config: AbuseConfig) {
        self.bans.configure(config.bans.clone());
        self.config = config;
    }

    /// Whether a message that came may be looked at; before a byte of it is.
    pub(super) fn hears(&mut self, now: Now, flow: Flow, exempt: impl FnOnce() -> bool) -> bool {
        let banned = self.bans.is_banned(now, flow.remote.ip());
        if banned && !self.is_exempt(flow.remote) && !exempt() {
            self.counts.banned += 1;
            return false;
        }
        true
    }

    /// Counts what an unproven source sent: so much more it may get.
    pub(super) fn received(&mut self, now: Now, flow: Flow, bytes: usize) {
        if flow.transport != Transport::Udp {
            return;
        }
        let at = seconds(now);
        let worth = |peer: &Peer| u64::from(peer.proven) << 32 | u64::from(peer.seen);
        let origin = Origin::of(flow.remote.ip());
        let Some(peer) = self.peers.entry(origin, Peer::default(), worth) else {
            return;
        };
        if at.saturating_sub(peer.seen) > FORGET_SECS {
            (peer.received, peer.sent) = (0, 0);
        }
        peer.seen = at;
        peer.received = peer.received.saturating_add(clamp(bytes));
    }

    /// Notes that whoever is on the other end of the flow hears us there.
    pub(super) fn proved(&mut self, now: Now, flow: Flow) {
        if flow.transport == Transport::Udp
            && let Some(peer) = self.peers.get_mut(Origin::of(flow.remote.ip()))
        {
            peer.proven = seconds(now).saturating_add(PROVEN_SECS);
        }
    }

    /// Whether whoever is on that connection is to be vouched for: once.
    pub(super) fn vouches(&mut self, flow: Flow) -> bool {
        let Some(connection) = flow.connection else {
            return false;
        };
        if self.vouched.len() >= VOUCHED_MAX {
            // Ends that we were not told of; those who still live are vouched for again.
            self.vouched.clear();
        }
        self.vouched.insert(connection)
    }

    /// The connection is no more.
    pub(super) fn flow_failed(&mut self, flow: Flow) {
        if let Some(connection) = flow.connection {
            self.vouched.remove(&connection);
        }
    }

    /// Whether the other end of the flow is known to be where it says.
    pub(super) fn is_proven(&mut self, now: Now, flow: Flow) -> bool {
        flow.transport != Transport::Udp
            || self
                .peers
                .get_mut(Origin::of(flow.remote.ip()))
                .is_some_and(|peer| peer.proven > seconds(now))
    }

    /// Whether a message may be sent, and counts it. What we say first is not an answer that somebody
    /// could draw to another by a forged source; a BYE ends what the peer began.
    pub(super) fn may_send(&mut self, now: Now, flow: Flow, bytes: &[u8]) -> bool {
        let is_response = bytes.starts_with(b"SIP/2.0");
        let is_bye = bytes.starts_with(b"BYE ");
        if flow.transport != Transport::Udp
            || self.config.amplification == 0
            || !is_response && !is_bye
        {
            return true;
        }
        let may = match self.peers.get_mut(Origin::of(flow.remote.ip())) {
            Some(peer) if peer.proven > seconds(now) => true,
            Some(peer) if is_bye && peer.proven > 0 => true,
            Some(peer) => {
                let sent = peer.sent.saturating_add(clamp(bytes.len()));
                let fits = sent <= peer.received.saturating_mul(self.config.amplification);
                if fits {
                    peer.sent = sent;
                }
                fits
            }
            None => is_bye,
        };
        self.counts.over_budget += u64::from(!may);
        may
    }

    /// Whether one more INVITE of that source is looked at; `unacknowledged` of it wait for an ACK.
    pub(super) fn may_invite(&mut self, now: Now, flow: Flow, unacknowledged: usize) -> bool {
        let may = unacknowledged < self.config.unacknowledged
            && (self.is_proven(now, flow) || self.is_among_first(now, flow));
        self.counts.invites += u64::from(!may);
        may
    }

    fn is_among_first(&mut self, now: Now, flow: Flow) -> bool {
        let at = seconds(now);
        let Some(peer) = self.peers.get_mut(Origin::of(flow.remote.ip())) else {
            return true;
        };
        if peer.invites == 0 || at.saturating_sub(peer.invites_since) >= TRANSACTION_SECS {
            (peer.invites, peer.invites_since) = (0, at);
        }
        peer.invites = peer.invites.saturating_add(1);
        peer.invites <= self.config.unproven_invites
    }

    /// Counts a failed proof; `Some` if its sender is banned from now on, for so long.
    pub(super) fn failed(&mut self, now: Now, flow: Flow, counts: bool) -> Option<Duration> {
        self.counts.failures += 1;
        if !counts || self.is_exempt(flow.remote) {
            return None;
        }
        self.bans.failed(now, flow.remote.ip())
    }

    fn is_exempt(&self, remote: SocketAddr) -> bool {
        self.config
            .never_ban
            .iter()
            .any(|entry| entry.contains(remote))
    }

    /// Whether a line would be told now: what it says need not be found out else.
    pub(super) fn can_tell(&self, now: Now) -> bool {
        self.lines.second != seconds(now) || self.lines.told < self.config.lines_per_second
    }

    /// Whether a line may be told now; those left out are counted.
    pub(super) fn may_tell(&mut self, now: Now) -> bool {
        let at = seconds(now);
        if self.lines.second != at {
            (self.lines.second, self.lines.told) = (at, 0);
        }
        let may = self.lines.told < self.config.lines_per_second;
        self.lines.told += u32::from(may);
        self.counts.untold += u64::from(!may);
        may
    }

    pub(super) fn bans(&self, now: Now, limit: usize) -> Vec<Ban> {
        self.bans.list(now, limit)
    }

    pub(super) fn lift(&mut self, now: Now, ip: std::net::IpAddr) -> bool {
        self.bans.lift(now, ip)
    }

    pub(super) fn counts(&self) -> GuardCounts {
        GuardCounts {
            bans: self.bans.counts().0,
            remembered: self.bans.remembered(),
            ..self.counts
        }
    }
}

fn seconds(now: Now) -> u32 {
    // The first second is 1: 0 means never.
    u32::try_from(now.as_millis() / 1_000 + 1).unwrap_or(u32::MAX)
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// UDP sources whose bytes are counted; 32 bytes each. The least worth are those never proven and
/// silent for longest.
const PEERS_MAX: usize = 65_536;
/// More connections than may be open.
const VOUCHED_MAX: usize = 65_536;
/// A proof holds so long after the last one.
const PROVEN_SECS: u32 = 3_600;
/// An unproven source starts anew after so long a silence: twice what a transaction lives.
const FORGET_SECS: u32 = 64;
/// 64·T1: what an INVITE that nobody acknowledges takes.
const TRANSACTION_SECS: u32 = 32;
