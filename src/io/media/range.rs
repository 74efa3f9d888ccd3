//! The RTP port range: pairs of sockets, RTP on an even port and RTCP on the next (RFC 3550 §11).
//!
//! Pairs are handed out in an order drawn at start, so that a peer's port tells nobody the next
//! one's; a pair that comes back goes to the end of the line and rests, so that late packets of an
//! old call do not reach a new one. Some rest open: to make two sockets and to close them costs more
//! than anything else that a short call asks of the system. A pair at rest is connected to itself,
//! so that to everybody else its ports are as good as closed.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use media::port::PortId;
use media::worker::{IpFamily, Lane, NoPort};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, send, sendto};
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

/// A port's two sockets; bound in the control thread, used in the media thread, at rest in the former.
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

    /// Keeps everybody away, and forgets what has come.
    fn rest(&self) -> io::Result<()> {
        for socket in [&self.rtp, &self.rtcp] {
            let mut own = socket.local_addr()?;
            if own.ip().is_unspecified() {
                own.set_ip(loopback(own.ip()));
            }
            rustix::net::connect(socket, &own)?;
            drain(socket)?;
        }
        Ok(())
    }

    /// Lets packets come again, for another port.
    fn wake(&mut self, port: PortId) -> io::Result<()> {
        rustix::net::connect_unspec(&self.rtp)?;
        rustix::net::connect_unspec(&self.rtcp)?;
        (self.port, self.peer) = (port, None);
        Ok(())
    }
}

/// Reads what waits, and errors of what was sent (ICMP), until nothing is left.
fn drain(socket: &UdpSocket) -> io::Result<()> {
    for _ in 0..WAITING_MAX {
        match socket.recv(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Ok(_) | Err(_) => {}
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

fn loopback(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The pairs of one address that are not in use.
#[derive(Debug)]
pub(super) struct PortRange {
    address: IpAddr,
    /// Pairs that rest open, the one that has for longest first.
    resting: VecDeque<Box<PortSockets>>,
    resting_max: usize,
    /// Those that are closed.
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
            resting: VecDeque::new(),
            resting_max: resting_max(),
            free: free.into(),
        }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Pairs that are not in use.
    pub(super) fn free(&self) -> usize {
        self.free.len() + self.resting.len()
    }

    /// Pairs that rest open.
    pub(super) fn resting(&self) -> usize {
        self.resting.len()
    }

    /// Takes the next pair: of those at rest while half of the most that may are, or when no other can be had.
    pub(super) fn take(&mut self, port: PortId) -> Result<Box<PortSockets>, NoPort> {
        if self.resting.len() <= self.resting_max / 2 {
            let bound = self.bind(port);
            if bound.is_ok() || self.resting.is_empty() {
                return bound;
            }
        }
        while let Some(mut sockets) = self.resting.pop_front() {
            if sockets.wake(port).is_ok() {
                return Ok(sockets);
            }
            self.free.push_back(sockets.number);
        }
        self.bind(port)
    }

    /// Binds the next pair. Ports that other programs hold are stepped over, a bounded number of them.
    fn bind(&mut self, port: PortId) -> Result<Box<PortSockets>, NoPort> {
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

    /// Takes back a pair: to rest, or to be closed.
    pub(super) fn give_back(&mut self, sockets: Box<PortSockets>) {
        if self.resting.len() < self.resting_max && sockets.rest().is_ok() {
            self.resting.push_back(sockets);
        } else {
            self.free.push_back(sockets.number);
        }
    }

    fn pair(&self, number: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        let bind = |number| socket(SocketAddr::new(self.address, number)).map(UdpSocket::from);
        Ok((bind(number)?, bind(number + 1)?))
    }
}

/// Binds a socket for media.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        None,
    )?;
    socket.bind(&address.into())?;
    // Expedited forwarding (RFC 3246): a wish, which a system may deny.
    let _ = match address.ip() {
        IpAddr::V4(_) => socket.set_tos_v4(EXPEDITED),
        IpAddr::V6(_) => socket.set_tclass_v6(EXPEDITED),
    };
    Ok(socket)
}

/// How many pairs rest open: of a system that lets us have few descriptors, an eighth of those.
fn resting_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors / 16).map_or(RESTING_MAX, |share| share.min(RESTING_MAX))
}

/// At a thousand calls a second a pair rests for half a second at least.
const RESTING_MAX: usize = 1_024;

/// Packets that may wait in a socket that comes back; one with more is closed.
const WAITING_MAX: usize = 256;

/// How many pairs of other programs are stepped over before the range counts as exhausted.
const ATTEMPTS: usize = 256;

/// The DSCP of voice, 46, in the upper six bits of the traffic class.
const EXPEDITED: u32 = 46 << 2;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::ErrorKind;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use media::port::PortId;
    use media::worker::{Lane, NoPort};

    use super::PortRange;

    /// An address of its own, so that tests that run beside this one do not take its ports.
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 1));

    #[test]
    fn every_even_port_of_the_range_is_bound_once_in_no_plain_order_with_its_neighbour() {
        let mut range = PortRange::new(ADDRESS, 21_001..=21_020, 99);
        assert_eq!(range.free(), 9, "21,020 has no neighbour in the range");
        let bound: Vec<_> = std::iter::from_fn(|| range.take(PortId(1)).ok()).collect();
        let numbers: Vec<u16> = bound.iter().map(|pair| pair.number).collect();
        for pair in &bound {
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.number);
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.number + 1);
        }
        let all: BTreeSet<u16> = numbers.iter().copied().collect();
        assert_eq!(all, (21_002..=21_018).step_by(2).collect());
        assert!(!numbers.is_sorted());
        assert_eq!(range.take(PortId(1)).map(drop), Err(NoPort::RangeExhausted));
    }

    #[test]
    fn a_pair_that_another_program_holds_is_stepped_over() {
        let _other = UdpSocket::bind((ADDRESS, 21_101)).unwrap();
        let mut range = PortRange::new(ADDRESS, 21_100..=21_103, 1);
        assert_eq!(range.take(PortId(1)).unwrap().number, 21_102);
    }

    #[test]
    fn a_pair_at_rest_hears_nobody_and_comes_back_to_hear_everybody_but_no_old_packet() {
        let every = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for (address, near, port) in [(ADDRESS, ADDRESS, 21_200), (every, local, 21_210)] {
            let mut range = PortRange::new(address, port..=port + 1, 1);
            rests_and_comes_back(&mut range, near, Lane::Rtp);
            rests_and_comes_back(&mut range, near, Lane::Rtcp);
        }
    }

    fn rests_and_comes_back(range: &mut PortRange, near: IpAddr, lane: Lane) {
        let mut sockets = range.take(PortId(1)).unwrap();
        let bound = sockets.of(lane).local_addr().unwrap();
        let at = (near, bound.port());
        let stranger = UdpSocket::bind((near, 0)).unwrap();
        let second = Duration::from_secs(1);
        stranger.set_read_timeout(Some(second)).unwrap();
        stranger.connect(at).unwrap();
        sockets.tie(stranger.local_addr().ok());
        stranger.send(b"late").unwrap();
        range.give_back(sockets);
        assert_eq!(range.free(), 1);
        stranger.send(b"at rest").unwrap();
        let refused = stranger.recv(&mut [0; 8]).unwrap_err().kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused, "as of a closed port");

        let sockets = range.take(PortId(2)).unwrap();
        assert_eq!(
            sockets.of(lane).local_addr().unwrap(),
            bound,
            "the same again"
        );
        let other = UdpSocket::bind((near, 0)).unwrap();
        other.send_to(b"new", at).unwrap();
        let mut heard = [0; 8];
        let (length, from) = sockets.of(lane).recv_from(&mut heard).unwrap();
        let said = (&heard[..length], from);
        assert_eq!(said, (&b"new"[..], other.local_addr().unwrap()));
        assert!(sockets.peer.is_none());
        range.give_back(sockets);
    }

    #[test]
    fn pairs_that_other_programs_need_descriptors_for_are_closed() {
        let mut range = PortRange::new(ADDRESS, 21_300..=21_307, 1);
        range.resting_max = 2;
        let taken: Vec<_> = std::iter::from_fn(|| range.take(PortId(1)).ok()).collect();
        let numbers: Vec<u16> = taken.iter().map(|pair| pair.number).collect();
        for sockets in taken {
            range.give_back(sockets);
        }
        let is_free = |number: &u16| UdpSocket::bind((ADDRESS, *number)).is_ok();
        let free: Vec<bool> = numbers.iter().map(is_free).collect();
        assert_eq!(free, [false, false, true, true]);
        assert_eq!(range.free(), 4);
        let next = [(); 2].map(|()| range.take(PortId(1)).unwrap());
        assert_eq!(
            next[0].number, numbers[0],
            "the one that has rested for longest"
        );
        assert_eq!(
            next[1].number, numbers[2],
            "a new one while few are at rest"
        );
        for sockets in next {
            range.give_back(sockets);
        }
        assert_eq!(range.take(PortId(1)).unwrap().number, numbers[1]);
    }
}
