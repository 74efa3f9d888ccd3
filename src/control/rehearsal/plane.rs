//! A media plane without media: every port is there, every sound is over at once.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use media::Digit;
use media::port::{PortId, PortStats};
use media::worker::{
    DtmfVia, IpFamily, MediaPlane, NoPort, PortCommand, PortEvent, Reserved, RingFull,
};
use rtrb::{Consumer, Producer, RingBuffer};

/// What each family's next reservation comes to.
pub(super) type Room = [(IpFamily, Result<(), NoPort>); 2];

/// A plane for a shard that is only rehearsed with: a port for each family given.
pub fn dry_plane(families: impl IntoIterator<Item = IpFamily>) -> Box<dyn MediaPlane + Send> {
    let families: Vec<IpFamily> = families.into_iter().collect();
    let room = [IpFamily::V4, IpFamily::V6].map(|family| {
        let there = families.contains(&family);
        (family, there.then_some(()).ok_or(NoPort::NoAddress))
    });
    Box::new(DryPlane::new(room).0)
}

/// The plane of a rehearsal.
pub(super) struct DryPlane {
    room: Room,
    next: u32,
    events: VecDeque<PortEvent>,
    keys: Consumer<Digit>,
    listening: Option<PortId>,
}

impl DryPlane {
    /// A plane with that room, and where keys are pressed.
    pub(super) fn new(room: Room) -> (Self, Producer<Digit>) {
        let (presses, keys) = RingBuffer::new(KEYS_MAX);
        let plane = Self {
            room,
            next: 1,
            events: VecDeque::new(),
            keys,
            listening: None,
        };
        (plane, presses)
    }
}

impl MediaPlane for DryPlane {
    fn reserve(&mut self, family: IpFamily) -> Result<Reserved, NoPort> {
        let room = self.room.iter().find(|(of, _)| *of == family);
        room.map_or(Err(NoPort::NoAddress), |(_, room)| *room)?;
        let port = PortId(self.next);
        self.next += 1;
        let ip = match family {
            IpFamily::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpFamily::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let number = 20_000 + u16::try_from(port.0 % 10_000).unwrap_or(0) * 2;
        Ok(Reserved {
            worker: 0,
            port,
            rtp: SocketAddr::new(ip, number),
            advertised: ip,
        })
    }

    fn reserve_beside(&mut self, _worker: u8, family: IpFamily) -> Result<Reserved, NoPort> {
        self.reserve(family)
    }

    fn relocate(&mut self, _from: u8, port: PortId, _to: u8) -> Result<PortId, NoPort> {
        Ok(port)
    }

    fn command(&mut self, _worker: u8, command: PortCommand) -> Result<(), RingFull> {
        match command {
            PortCommand::Open(plan) => {
                self.listening.get_or_insert(plan.port);
            }
            PortCommand::Play { port, play } if !play.repeat => {
                self.events.push_back(PortEvent::Played {
                    port,
                    play: play.id,
                    complete: true,
                });
            }
            PortCommand::Close { port } => self.events.push_back(PortEvent::Closed {
                port,
                stats: PortStats::default(),
            }),
            _ => {}
        }
        Ok(())
    }

    fn release(&mut self, _worker: u8, _port: PortId) {}

    fn poll_event(&mut self) -> Option<(u8, PortEvent)> {
        if let Some(event) = self.events.pop_front() {
            return Some((0, event));
        }
        let port = self.listening?;
        let digit = self.keys.pop().ok()?;
        let how = DtmfVia::Rfc4733;
        let duration_ms = 100;
        Some((
            0,
            PortEvent::Digit {
                port,
                digit,
                how,
                duration_ms,
            },
        ))
    }
}

/// Keys that a rehearsal may press.
const KEYS_MAX: usize = 64;
