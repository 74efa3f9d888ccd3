//! The RTP port range: pairs of sockets, RTP on an even port and RTCP on the next (RFC 3550 §11).
//!
//! Pairs are handed out in an order drawn at start, so that a peer's port tells nobody the next
//! one's; a pair that comes back goes to the end of the line and rests, so that late packets of an
//! old call do not reach a new one.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use media::port::PortId;
use media::worker::{IpFamily, Lane, NoPort};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, send, sendto};
use socket2::{Domain, Socket, Type};

/// A port's two sockets; bound in the control thread, used in the media thread, closed in the former.
#[derive(Debug)]
pub(super) struct PortSockets {
    pub(super) port: PortId,
    pub(super) family: IpFamily,
    /// The even port number.
    pub(super) number: u16,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Whom the RTP socket is connected to.
    peer: Option<SocketAddr>,
}

impl PortSockets {
    pub(super) fn of(&self, lane: Lane) -> &UdpSocket {
        match lane {
            Lane::Rtp => &self.rtp,
            Lane::Rtcp => &self.rtcp,
        }
    }

    /// Takes a packet, if there is one: its length, and who sent it. By the system call itself: the C
    /// library's makes each a point where a thread may be cancelled, which costs a fiftieth.
    pub(super) fn receive(
        &self,
        lane: Lane,
        packet: &mut [u8; 1500],
    ) -> Option<(usize, SocketAddr)> {
        let flags = RecvFlags::empty();
        let (_, len, from) = recvfrom(self.of(lane), &mut packet[..], flags).ok()?;
        Some((len, from?.try_into().ok()?))
    }

    /// Sends a packet: without a look at the route when it goes to whom the socket is connected.
    pub(super) fn send(&self, lane: Lane, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        let flags = SendFlags::empty();
        if lane == Lane::Rtcp || self.peer != Some(to) {
            sendto(self.of(lane), packet, flags, &to)?;
            return Ok(());
        }
        match send(&self.rtp, packet, flags) {
            // What an earlier packet met with (ICMP): this one has not left yet.
            Err(Errno::CONNREFUSED) => send(&self.rtp, packet, flags)?,
            sent => sent?,
        };
        Ok(())
    }

    /// Connects the RTP socket to the only source that its port hears, or to nobody. From then on
    /// the system keeps strangers away, and a packet costs it less. What the system refuses is left
    /// as it was: the port itself looks at every packet's source.
    pub(super) fn tie(&mut self, peer: Option<SocketAddr>) {
        if self.peer == peer {
            return;
        }
        let done = match peer {
            Some(peer) => rustix::net::connect(&self.rtp, &peer),
            None => rustix::net::connect_unspec(&self.rtp),
        };
        if done.is_ok() {
            self.peer = peer;
        }
    }
}

/// The pairs of one address that are not in use.
#[derive(Debug)]
pub(super) struct PortRange {
    address: IpAddr,
    free: VecDeque<u16>,
}

impl PortRange {
    /// All pairs within `ports`, shuffled by `random`.
    pub(super) fn new(address: IpAddr, ports: RangeInclusive<u16>, random: u64) -> Self {
        let mut free: Vec<u16> = ports
            .clone()
            .filter(|port| port % 2 == 0 && ports.contains(&(port + 1)))
            .collect();
        let mut state = random | 1;
        for left in (1..free.len()).rev() {
            // Fisher–Yates over a xorshift: order that is hard to guess, not secrecy.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let other = usize::try_from(state % (left as u64 + 1)).unwrap_or(0);
            free.swap(left, other);
        }
        Self {
            address,
            free: free.into(),
        }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Pairs that are not in use.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Binds the next pair. Ports that other programs hold are stepped over, a bounded number of them.
    pub(super) fn bind(&mut self, port: PortId) -> Result<Box<PortSockets>, NoPort> {
        for _ in 0..self.free.len().min(ATTEMPTS) {
            let Some(number) = self.free.pop_front() else {
                break;
            };
            match self.pair(number) {
                Ok((rtp, rtcp)) => {
                    let family = IpFamily::of(self.address);
                    return Ok(Box::new(PortSockets {
                        port,
                        family,
                        number,
                        rtp,
                        rtcp,
                        peer: None,
                    }));
                }
                Err(error) => {
                    self.free.push_back(number);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        tracing::warn!(address = %self.address, number, %error, "no RTP socket");
                        return Err(NoPort::System);
                    }
                }
            }
        }
        Err(NoPort::RangeExhausted)
    }

    /// Takes back a pair whose sockets are closed.
    pub(super) fn give_back(&mut self, number: u16) {
        self.free.push_back(number);
    }

    fn pair(&self, number: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        Ok((self.socket(number)?, self.socket(number + 1)?))
    }

    fn socket(&self, number: u16) -> io::Result<UdpSocket> {
        let address = SocketAddr::new(self.address, number);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking(),
            None,
        )?;
        socket.bind(&address.into())?;
        // Expedited forwarding (RFC 3246): a wish, which a system may deny.
        let _ = match self.address {
            IpAddr::V4(_) => socket.set_tos_v4(EXPEDITED),
            IpAddr::V6(_) => socket.set_tclass_v6(EXPEDITED),
        };
        Ok(socket.into())
    }
}

/// How many pairs of other programs are stepped over before the range counts as exhausted.
const ATTEMPTS: usize = 256;

/// The DSCP of voice, 46, in the upper six bits of the traffic class.
const EXPEDITED: u32 = 46 << 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};

    use media::port::PortId;
    use media::worker::NoPort;

    use super::PortRange;

    /// An address of its own, so that tests that run beside this one do not take its ports.
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 1));

    #[test]
    fn every_even_port_of_the_range_is_bound_once_in_no_plain_order_with_its_neighbour() {
        let mut range = PortRange::new(ADDRESS, 21_001..=21_020, 99);
        assert_eq!(range.free(), 9, "21,020 has no neighbour in the range");
        let bound: Vec<_> = std::iter::from_fn(|| range.bind(PortId(1)).ok()).collect();
        let numbers: Vec<u16> = bound.iter().map(|pair| pair.number).collect();
        for pair in &bound {
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.number);
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.number + 1);
        }
        let all: BTreeSet<u16> = numbers.iter().copied().collect();
        assert_eq!(all, (21_002..=21_018).step_by(2).collect());
        assert!(!numbers.is_sorted());
        assert_eq!(range.bind(PortId(1)).map(drop), Err(NoPort::RangeExhausted));
    }

    #[test]
    fn a_pair_that_another_program_holds_is_stepped_over() {
        let _other = UdpSocket::bind((ADDRESS, 21_101)).unwrap();
        let mut range = PortRange::new(ADDRESS, 21_100..=21_103, 1);
        assert_eq!(range.bind(PortId(1)).unwrap().number, 21_102);
    }
}
