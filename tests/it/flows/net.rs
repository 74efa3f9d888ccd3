//! The two networks: a simulated link, and real sockets with an impairment proxy between them.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration as Real, Instant};

use bytes::Bytes;
use clock::{Duration, Now};
use sim::{Gilbert, Impairment, Link, Random};
use sip::transport::Flow as Path;

use super::proxy::Proxy;
use super::{A, B, LOOPBACK, Side, address, path};

/// Between the two ends.
pub(crate) enum Net {
    Simulated(Simulated),
    Sockets(Sockets),
}

/// A network without sockets, in virtual time.
pub(crate) struct Simulated {
    links: [Link; 2],
    proxies: Vec<Proxy>,
    wire: BTreeMap<(Now, u64), (Side, Bytes)>,
    sequence: u64,
}

/// What the impairment proxy does to datagrams of either direction, per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lossy {
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
}

/// Two sockets, and a proxy of two more between them that loses, repeats and reorders by its seed.
pub(crate) struct Sockets {
    start: Instant,
    ends: [UdpSocket; 2],
    /// Where each end sends to, and is heard from by the other.
    doors: [UdpSocket; 2],
    links: [Link; 2],
    wire: BTreeMap<(Now, u64), (Side, Vec<u8>)>,
    sequence: u64,
    arrived: VecDeque<(Side, Bytes)>,
    /// Datagrams that came to the proxy, and those it lost.
    counts: (u32, u32),
}

impl Net {
    pub(crate) fn simulated(proxies: &[bool]) -> Self {
        let clean = Impairment::clean(Duration::from_millis(10));
        let link = |seed| Link::new(clean, false, Random::new(seed));
        let proxies = (1..).zip(proxies).map(|(at, asks)| Proxy::new(at, *asks));
        Self::Simulated(Simulated {
            links: [link(1), link(2)],
            proxies: proxies.collect(),
            wire: BTreeMap::new(),
            sequence: 0,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
    pub(crate) fn sockets(what: Lossy, seed: u64) -> Self {
        let open = || {
            let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let ends = [open(), open()];
        // The one that is waited on.
        ends[0].set_nonblocking(false).unwrap();
        ends[0].set_read_timeout(Some(TICK)).unwrap();
        let impairment = Impairment {
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(6),
            loss: Gilbert::even(what.loss),
            reorder: what.reorder,
            duplicate: what.duplicate,
        };
        let mut random = Random::new(seed);
        let mut link = || Link::new(impairment, false, random.fork());
        Self::Sockets(Sockets {
            start: Instant::now(),
            ends,
            doors: [open(), open()],
            links: [link(), link()],
            wire: BTreeMap::new(),
            sequence: 0,
            arrived: VecDeque::new(),
            counts: (0, 0),
        })
    }

    /// How many datagrams were sent, and how many of them were lost on purpose.
    pub(crate) fn losses(&self) -> (u32, u32) {
        match self {
            Self::Simulated(_) => (0, 0),
            Self::Sockets(it) => it.counts,
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self, Self::Sockets(_))
    }

    /// Where the other end reaches this one.
    pub(crate) fn advertised(&self, side: Side) -> SocketAddr {
        match self {
            Self::Simulated(_) => address(side),
            Self::Sockets(it) => it.door(side.other()),
        }
    }

    /// The path of this end's messages, and of those it gets.
    pub(crate) fn path(&self, side: Side) -> Path {
        match self {
            Self::Simulated(it) => path(it.next_to(side)),
            Self::Sockets(it) => path(it.door(side)),
        }
    }

    pub(crate) fn send(&mut self, now: Now, from: Side, bytes: Bytes) {
        match self {
            Self::Simulated(it) => it.send(now, from, bytes),
            Self::Sockets(it) => {
                let door = it.door(from);
                it.ends[from as usize].send_to(&bytes, door).unwrap();
            }
        }
    }

    /// Lets time pass until something may have arrived, or `next`.
    pub(crate) fn wait(&mut self, now: Now, next: Now) -> Now {
        match self {
            Self::Simulated(it) => {
                let arrival = it.wire.keys().next().map(|(at, _)| *at);
                arrival.unwrap_or(next).min(next).max(now)
            }
            Self::Sockets(it) => {
                it.wait();
                it.now()
            }
        }
    }

    /// What has arrived by now, one after the other.
    pub(crate) fn arrived(&mut self, now: Now) -> Option<(Side, Bytes)> {
        match self {
            Self::Simulated(it) => {
                let first = it.wire.first_entry()?;
                (first.key().0 <= now).then(|| first.remove())
            }
            Self::Sockets(it) => it.arrived.pop_front(),
        }
    }
}

impl Simulated {
    /// The neighbour an end talks to.
    fn next_to(&self, side: Side) -> SocketAddr {
        let proxy = match side {
            A => self.proxies.first(),
            B => self.proxies.last(),
        };
        proxy.map_or(address(side.other()), Proxy::address)
    }

    /// Passes a message on from proxy to proxy; one of them may answer it instead.
    fn send(&mut self, now: Now, from: Side, bytes: Bytes) {
        let mut came_from = address(from);
        let mut message = bytes;
        let mut order: Vec<&mut Proxy> = self.proxies.iter_mut().collect();
        if from == B {
            order.reverse();
        }
        let mut to = from.other();
        for proxy in order {
            let here = proxy.address();
            match proxy.pass(&message, came_from) {
                Some((false, on)) => message = on,
                Some((true, back)) => {
                    // Only the first of a chain asks in these flows, or one behind another: the answer
                    // takes the Vias off on its way back.
                    message = back;
                    to = from;
                    break;
                }
                None => return,
            }
            came_from = here;
        }
        if to == from {
            message = self.back(message);
        }
        let Some(link) = self.links.get_mut(from as usize) else {
            return;
        };
        for at in link.carry(now).into_iter().flatten() {
            self.sequence += 1;
            self.wire.insert((at, self.sequence), (to, message.clone()));
        }
    }

    /// A refusal made by a proxy goes back through those before it.
    fn back(&self, message: Bytes) -> Bytes {
        let mut message = message;
        for proxy in self.proxies.iter().rev() {
            message = proxy.strip(&message);
        }
        message
    }
}

impl Sockets {
    fn door(&self, side: Side) -> SocketAddr {
        self.doors[side as usize].local_addr().unwrap()
    }

    fn now(&self) -> Now {
        Now::ZERO + self.start.elapsed()
    }

    fn wait(&mut self) {
        let mut buffer = [0; 65_536];
        for side in [A, B] {
            while let Ok((length, _)) = self.ends[side as usize].recv_from(&mut buffer) {
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                self.arrived.push_back((side, bytes));
                if side == A {
                    // It is the one that blocks.
                    break;
                }
            }
            let now = self.now();
            while let Ok((length, _)) = self.doors[side as usize].recv_from(&mut buffer) {
                let copies = self.links[side as usize].carry(now);
                self.counts.0 += 1;
                self.counts.1 += u32::from(copies == [None, None]);
                for at in copies.into_iter().flatten() {
                    self.sequence += 1;
                    let key = (at, self.sequence);
                    self.wire.insert(key, (side, buffer[..length].to_vec()));
                }
            }
        }
        let now = self.now();
        while let Some(first) = self.wire.first_entry().filter(|it| it.key().0 <= now) {
            let (from, bytes) = first.remove();
            let to = from.other();
            let at = self.ends[to as usize].local_addr().unwrap();
            // It leaves by the door that the receiver knows.
            self.doors[to as usize].send_to(&bytes, at).unwrap();
        }
    }
}

/// How long the proxy may keep a datagram beyond its time.
const TICK: Real = Real::from_millis(1);
