//! What all browsers of one worker come and go by: its shared sockets, and who is behind which address.
//!
//! Media goes to the port that its source is routed to. Checks and handshakes go to the web thread, by a ring of
//! buffers; everything else is dropped and counted. Routes come from there by control, and only for addresses that
//! a browser has proven to be at. Law of the media thread: no allocation, no lock, after [`Door::new`].
//!
//! One whose address has changed under it is heard all the same, as every packet of it proves whose it is; the web
//! thread is told, and asks it there, since nothing is sent to where nobody has proven to be.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};

use media::port::PortId;
use media::worker::IpFamily;
use rtrb::Producer;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use webrtc_lite::Kind;
use webrtc_lite::ice::PATHS_MAX;

use super::range;
use super::thread::slot_of;
use crate::io::web::{Datagram, Ring};

/// The media thread's end.
#[derive(Debug)]
pub(super) struct Door {
    sockets: Vec<(IpFamily, UdpSocket)>,
    routes: Routes,
    /// Whose stream has which name (SSRC), by the slot in a port's id, as far as one was seen.
    streams: Box<[Option<(u32, PortId)>]>,
    /// How many more packets from anywhere are looked at before the next tick.
    looks: u8,
    /// Where browsers were heard that are not known to be there, the latest last: [`MOVED_MAX`] at most.
    moved: VecDeque<(SocketAddr, PortId)>,
    checks: Producer<Datagram>,
    ring: Ring,
    /// Whether something was passed on of which the web thread does not know.
    rings: bool,
    pub(super) stats: DoorStats,
}

/// What becomes of a packet.
pub(super) enum Admitted {
    /// It is media of that port's browser, as far as its source says so.
    Port(PortId),
    /// It is media, from where no browser is known to be.
    Stray,
    /// It is none.
    No,
}

/// What came to the shared sockets, whoever sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DoorStats {
    /// Media of browsers that have proven where they are.
    pub media: u64,
    /// Media from anywhere else.
    pub unrouted: u64,
    /// Of it: the first authentic packet of a browser that was elsewhere before.
    pub moved: u64,
    /// Checks and handshakes, passed on.
    pub passed: u64,
    /// The same, dropped because the web thread has fallen behind.
    pub dropped: u64,
    /// Neither.
    pub other: u64,
}

impl Door {
    /// With room for the routes of `ports` browsers.
    pub(super) fn new(
        sockets: Vec<(IpFamily, UdpSocket)>,
        ports: usize,
        checks: Producer<Datagram>,
        ring: Ring,
    ) -> Self {
        Self {
            sockets,
            routes: Routes::new(ports * PATHS_MAX),
            streams: vec![None; ports].into(),
            looks: 0,
            moved: VecDeque::with_capacity(MOVED_MAX),
            checks,
            ring,
            rings: false,
            stats: DoorStats::default(),
        }
    }

    /// The sockets, to be waited for.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.sockets.iter().map(|(_, socket)| socket)
    }

    /// Takes a packet of one of the sockets, if there is one: its length, and who sent it.
    pub(super) fn receive(
        &self,
        which: usize,
        packet: &mut [u8; 1500],
    ) -> Option<(usize, SocketAddr)> {
        let (_, socket) = self.sockets.get(which)?;
        let (_, len, from) = recvfrom(socket, &mut packet[..], RecvFlags::empty()).ok()?;
        Some((len, from?.try_into().ok()?))
    }

    /// Whose a packet is, if it is media; else it is on its way, or gone.
    pub(super) fn admit(&mut self, from: SocketAddr, packet: &[u8]) -> Admitted {
        match packet.first().map(|first| Kind::of(*first)) {
            Some(Kind::Media) => {
                let port = self.routes.of(from).or_else(|| self.moved_to(from));
                if let (Some(port), Some(ssrc)) = (port, stream(packet))
                    && let Some(place) = self.streams.get_mut(slot_of(port))
                {
                    *place = Some((ssrc, port));
                }
                self.stats.media += u64::from(port.is_some());
                self.stats.unrouted += u64::from(port.is_none());
                return port.map_or(Admitted::Stray, Admitted::Port);
            }
            Some(Kind::Stun | Kind::Dtls) if self.checks.is_full() => self.stats.dropped += 1,
            Some(Kind::Stun | Kind::Dtls) => {
                let _ = self.checks.push(Datagram::new(from, packet));
                self.rings = true;
                self.stats.passed += 1;
            }
            Some(Kind::Other) | None => self.stats.other += 1,
        }
        Admitted::No
    }

    /// Whose media a packet from anywhere may be, by the name of its stream. That proves nothing, and is looked for
    /// a few times a tick.
    pub(super) fn whose(&mut self, packet: &[u8]) -> Option<PortId> {
        let ssrc = stream(packet)?;
        self.looks = self.looks.checked_sub(1)?;
        let mut streams = self.streams.iter().flatten();
        streams.find(|(it, _)| *it == ssrc).map(|(_, port)| *port)
    }

    /// A tick has begun.
    pub(super) fn look_again(&mut self) {
        self.looks = LOOKS_PER_TICK;
    }

    fn moved_to(&self, from: SocketAddr) -> Option<PortId> {
        let mut moved = self.moved.iter();
        moved.find(|(at, _)| *at == from).map(|(_, port)| *port)
    }

    /// Something authentic of a port's browser has come from there, where it is not known to be.
    pub(super) fn moved(&mut self, from: SocketAddr, port: PortId) {
        if self.moved.len() == MOVED_MAX {
            self.moved.pop_front();
        }
        self.moved.push_back((from, port));
        self.stats.moved += 1;
        if self.checks.push(Datagram::heard(from, port)).is_err() {
            self.stats.dropped += 1;
        }
        self.rings = true;
    }

    /// A port is closed.
    pub(super) fn forget(&mut self, port: PortId) {
        if let Some(place) = self.streams.get_mut(slot_of(port)) {
            *place = None;
        }
        self.moved.retain(|(_, it)| *it != port);
    }

    /// Wakes the web thread, once for all that was passed on.
    pub(super) fn ring(&mut self) {
        if std::mem::take(&mut self.rings) {
            let _ = rustix::io::write(&*self.ring, &1_u64.to_ne_bytes());
        }
    }

    /// Sends a packet of any port behind this door.
    pub(super) fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        let family = IpFamily::of(to.ip());
        let mut sockets = self.sockets.iter();
        let Some((_, socket)) = sockets.find(|(it, _)| *it == family) else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        sendto(socket, packet, SendFlags::empty(), &to)?;
        Ok(())
    }

    /// Gives what comes from an address to a port from now on, or no longer.
    pub(super) fn route(&mut self, from: SocketAddr, port: PortId, is_on: bool) {
        self.moved.retain(|(at, _)| *at != from);
        match is_on {
            true => self.routes.add(from, port),
            false => self.routes.remove(from, port),
        }
    }
}

/// Who is at which address: at most so many as it was made for.
#[derive(Debug)]
struct Routes {
    ports: HashMap<SocketAddr, PortId>,
    max: usize,
}

impl Routes {
    fn new(max: usize) -> Self {
        Self {
            // Half of it stays empty: then the table never grows, it is only swept.
            ports: HashMap::with_capacity(2 * max),
            max,
        }
    }

    fn of(&self, from: SocketAddr) -> Option<PortId> {
        self.ports.get(&from).copied()
    }

    /// The later of two at one address is believed.
    fn add(&mut self, from: SocketAddr, port: PortId) {
        if self.ports.len() < self.max || self.ports.contains_key(&from) {
            self.ports.insert(from, port);
        }
    }

    fn remove(&mut self, from: SocketAddr, port: PortId) {
        if self.of(from) == Some(port) {
            self.ports.remove(&from);
        }
    }
}

/// The name of an RTP packet's stream (RFC 3550 §5.1); RTCP has none there (RFC 5761 §4).
fn stream(packet: &[u8]) -> Option<u32> {
    let kind = packet.get(1)?;
    let ssrc = packet.get(8..12)?.try_into().ok()?;
    (!(192..=223).contains(kind)).then(|| u32::from_be_bytes(ssrc))
}

/// Binds a shared socket, with room for what all browsers send while the thread does something else.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = range::socket(address)?;
    // As much as the system lets us have.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    Ok(socket.into())
}

/// 1,600 a second: one of them costs a microsecond of a thousand browsers.
const LOOKS_PER_TICK: u8 = 8;
/// Of 2,000 browsers a few move at one time; who is forgotten before he has answered is asked again.
const MOVED_MAX: usize = 64;

/// A fifth of a second of 2,000 browsers, as the system counts.
const BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> SocketAddr {
        (n.to_be_bytes(), 4_000).into()
    }

    #[test]
    fn the_table_of_routes_never_grows_whoever_comes_and_goes() {
        let mut routes = Routes::new(64);
        let room = routes.ports.capacity();
        for n in 0..100_000 {
            routes.add(address(n), PortId(n));
            routes.remove(address(n.wrapping_sub(63)), PortId(n.wrapping_sub(63)));
            // What was taken out may still take room, until the table is swept; a larger one has more.
            assert!(routes.ports.capacity() <= room);
        }
        for n in 0..1_000 {
            routes.add(address(1 << 30 | n), PortId(n));
        }
        assert_eq!(routes.ports.len(), 64);
        assert!(routes.ports.capacity() <= room);
    }

    #[test]
    fn an_address_is_the_later_ones_and_the_earlier_cannot_take_it_away() {
        let mut routes = Routes::new(4);
        routes.add(address(1), PortId(1));
        routes.add(address(1), PortId(2));
        routes.remove(address(1), PortId(1));
        assert_eq!(routes.of(address(1)), Some(PortId(2)));
        routes.remove(address(1), PortId(2));
        assert_eq!(routes.of(address(1)), None);
    }
}
