//! Who may speak to a port, and where the port sends.
//!
//! The address an SDP names is not always the address packets come from (NAT), and an open UDP port
//! is an invitation to inject sound. So the first *valid* RTP packet from an address the policy
//! allows locks the port to it; whoever comes after that is dropped and counted, never answered.
//!
//! ```text
//!   Waiting ──valid packet from an allowed address──▶ Locked(address) ──new remote──▶ Waiting
//! ```

use std::net::SocketAddr;

use super::Remote;

/// A port's policy on where its packets may come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Latch {
    /// Only the address and port that the SDP named, both ways.
    Fixed,
    /// Sends to the SDP's address; the first valid packet from its IP, whatever the port, locks.
    #[default]
    SdpAddressThenLock,
    /// Symmetric RTP for a peer behind NAT (RFC 4961): the first valid packet from anywhere locks.
    /// Whoever guesses the port first wins, so only for peers that are known to be behind NAT.
    FirstPacketThenLock,
    /// For a browser (RFC 8445): the caller gives the port what comes from addresses that the peer has proven to
    /// be at, and nothing else, so any source may speak; nothing is sent until a command says where to.
    Proven,
}

/// The state of one port's latch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    policy: Latch,
    remote: Option<Remote>,
    locked: Option<SocketAddr>,
    /// Where the peer has proven to be: all that counts under [`Latch::Proven`].
    path: Option<SocketAddr>,
    /// Whom it was locked to before the peer moved, and how many of his packets are still taken for
    /// stragglers.
    left: Option<(SocketAddr, u8)>,
}

impl Source {
    pub(crate) fn new(policy: Latch, remote: Option<Remote>) -> Self {
        Self {
            policy,
            remote,
            locked: None,
            path: None,
            left: None,
        }
    }

    /// Takes the addresses of a re-offer; the lock holds when they are the same as before.
    pub(crate) fn update(&mut self, remote: Option<Remote>) {
        let moved = self.remote.map(|remote| remote.rtp) != remote.map(|remote| remote.rtp);
        if moved && self.policy != Latch::Proven {
            let left = self.locked.take();
            let left = left.filter(|it| remote.is_none_or(|remote| *it != remote.rtp));
            self.left = left.map(|address| (address, STRAGGLERS));
        }
        self.remote = remote;
    }

    /// Takes where the peer has proven to be.
    pub(crate) fn lead(&mut self, to: Option<SocketAddr>) {
        self.path = to;
    }

    /// Whether it is known where the peer is, by signalling or by its proof: then it is to be heard.
    pub(crate) fn is_somewhere(&self) -> bool {
        self.remote.is_some() || self.path.is_some()
    }

    /// Whether there is somebody to speak with, as far as signalling knows.
    pub(crate) fn has_peer(&self) -> bool {
        self.policy == Latch::Proven || self.remote.is_some()
    }

    /// Whether an RTP packet from `from` may be taken. A peer who has moved still has packets under way
    /// from where it was: they must not lock the port to that place again.
    pub(crate) fn admits(&mut self, from: SocketAddr) -> bool {
        if let Some((address, left)) = &mut self.left
            && *address == from
            && *left > 0
        {
            *left -= 1;
            return false;
        }
        self.allows(from)
    }

    fn allows(&self, from: SocketAddr) -> bool {
        if self.policy == Latch::Proven {
            return true;
        }
        let Some(remote) = self.remote else {
            return false;
        };
        match (self.policy, self.locked) {
            (Latch::Fixed, _) => from == remote.rtp,
            (_, Some(locked)) => from == locked,
            (Latch::SdpAddressThenLock, None) => from.ip() == remote.rtp.ip(),
            (Latch::FirstPacketThenLock | Latch::Proven, None) => true,
        }
    }

    /// Locks to `from`, whose packet was allowed and valid; whether this was the first.
    pub(crate) fn lock(&mut self, from: SocketAddr) -> bool {
        let first = self.locked.is_none();
        self.locked = Some(from);
        first
    }

    /// The one address that may speak, once there is one.
    pub(crate) fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// Whether an RTCP packet from `from` may be taken: from a known host; ports of RTCP wander.
    pub(crate) fn allows_rtcp(&self, from: SocketAddr) -> bool {
        let known = |address: SocketAddr| address.ip() == from.ip();
        self.policy == Latch::Proven
            || self.locked.is_some_and(known)
            || self
                .remote
                .is_some_and(|remote| known(remote.rtcp) || known(remote.rtp))
    }

    /// Where RTP goes: to the locked address, before that to the SDP's.
    pub(crate) fn rtp(&self) -> Option<SocketAddr> {
        if self.policy == Latch::Proven {
            return self.path;
        }
        self.locked.or(self.remote.map(|remote| remote.rtp))
    }

    /// Where RTCP goes. Behind NAT the SDP's port is only a guess, the host is the locked one.
    pub(crate) fn rtcp(&self, mux: bool) -> Option<SocketAddr> {
        if self.policy == Latch::Proven {
            return self.path;
        }
        let remote = self.remote?;
        match self.locked {
            locked if mux => locked.or(Some(remote.rtp)),
            Some(locked) if locked.ip() != remote.rtp.ip() => Some(Remote::of(locked, false).rtcp),
            _ => Some(remote.rtcp),
        }
    }
}

/// A second's packets: a peer whose SDP names another port and who goes on sending from the old one is
/// heard after that.
const STRAGGLERS: u8 = 50;

#[cfg(test)]
mod tests {
    use super::STRAGGLERS;
    use std::net::SocketAddr;

    use super::{Latch, Source};
    use crate::port::Remote;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn source(policy: Latch) -> Source {
        Source::new(policy, Some(Remote::of(address("10.0.0.1:4000"), false)))
    }

    #[test]
    fn stragglers_of_a_peer_who_has_moved_do_not_lock_the_port_to_where_it_was() {
        let old = address("10.0.0.1:4000");
        let new = address("10.0.0.1:4100");
        let mut source = source(Latch::SdpAddressThenLock);
        source.lock(old);
        source.update(Some(Remote::of(new, false)));
        assert!(!source.admits(old));
        assert_eq!(source.rtp(), Some(new));
        assert!(source.admits(new));
        // One who names another port and goes on sending from the old one is not left deaf.
        for _ in 1..STRAGGLERS {
            assert!(!source.admits(old));
        }
        assert!(source.admits(old));
    }

    #[test]
    fn before_the_lock_the_policy_decides_and_after_it_only_the_lock() {
        let table = [
            // policy, from, allowed before, allowed once locked to 10.0.0.1:4002
            (Latch::Fixed, "10.0.0.1:4000", true),
            (Latch::Fixed, "10.0.0.1:4002", false),
            (Latch::SdpAddressThenLock, "10.0.0.1:4002", true),
            (Latch::SdpAddressThenLock, "10.0.0.2:4000", false),
            (Latch::FirstPacketThenLock, "10.0.0.2:4000", true),
        ];
        for (policy, from, allowed) in table {
            assert_eq!(
                source(policy).allows(address(from)),
                allowed,
                "{policy:?} {from}"
            );
        }
        for policy in [Latch::SdpAddressThenLock, Latch::FirstPacketThenLock] {
            let mut source = source(policy);
            assert!(source.lock(address("10.0.0.1:4002")));
            assert!(source.allows(address("10.0.0.1:4002")));
            assert!(
                !source.allows(address("10.0.0.1:4000")),
                "the SDP's own port came too late"
            );
            assert!(!source.allows(address("10.0.0.3:4002")));
        }
    }

    #[test]
    fn packets_go_to_the_sdp_address_until_the_lock_and_then_to_the_lock() {
        let mut source = source(Latch::FirstPacketThenLock);
        assert_eq!(source.rtp(), Some(address("10.0.0.1:4000")));
        assert_eq!(source.rtcp(false), Some(address("10.0.0.1:4001")));
        source.lock(address("192.0.2.9:7000"));
        assert_eq!(source.rtp(), Some(address("192.0.2.9:7000")));
        assert_eq!(source.rtcp(false), Some(address("192.0.2.9:7001")));
        assert_eq!(source.rtcp(true), Some(address("192.0.2.9:7000")));
    }

    #[test]
    fn a_new_remote_unlocks_and_the_same_one_does_not() {
        let mut source = source(Latch::SdpAddressThenLock);
        source.lock(address("10.0.0.1:4002"));
        source.update(Some(Remote::of(address("10.0.0.1:4000"), false)));
        assert_eq!(source.rtp(), Some(address("10.0.0.1:4002")));
        source.update(Some(Remote::of(address("10.0.0.7:4000"), false)));
        assert_eq!(source.rtp(), Some(address("10.0.0.7:4000")));
    }

    #[test]
    fn whose_place_is_proven_is_heard_from_wherever_it_is_and_spoken_to_where_it_was_said() {
        let mut source = source(Latch::Proven);
        let (one, other) = (address("192.0.2.9:7000"), address("192.0.2.9:7002"));
        assert_eq!((source.rtp(), source.rtcp(true)), (None, None));
        assert!(source.has_peer() && source.admits(one) && source.lock(one));
        assert_eq!(source.rtp(), None, "a packet says nothing of where to send");
        source.lead(Some(other));
        assert_eq!(
            (source.rtp(), source.rtcp(true)),
            (Some(other), Some(other))
        );
        source.update(Some(Remote::of(address("10.0.0.7:4000"), true)));
        assert!(source.admits(one) && source.admits(other) && source.allows_rtcp(one));
        assert_eq!(source.rtp(), Some(other), "nor does an SDP");
        source.lead(None);
        assert_eq!((source.rtp(), source.rtcp(true)), (None, None));
    }

    #[test]
    fn a_port_without_a_peer_hears_nobody() {
        assert!(!Source::new(Latch::FirstPacketThenLock, None).allows(address("10.0.0.1:4000")));
    }
}
