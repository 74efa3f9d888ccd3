//! Media ports without sound: each one that is opened is told closed when it is closed.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use media::port::PortId;
use media::worker::{IpFamily, MediaPlane, NoPort, PortCommand, PortEvent, Reserved, RingFull};

/// As many ports as are asked for.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    next: u32,
    events: VecDeque<PortEvent>,
}

/// The media address of every port.
pub(super) const MEDIA: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl MediaPlane for Quiet {
    fn reserve(&mut self, family: IpFamily) -> Result<Reserved, NoPort> {
        self.reserve_beside(0, family)
    }

    fn reserve_beside(&mut self, worker: u8, _family: IpFamily) -> Result<Reserved, NoPort> {
        self.next += 1;
        let port = u16::try_from(20_000 + (self.next % 10_000) * 2).unwrap_or(20_000);
        Ok(Reserved {
            worker,
            port: PortId(self.next),
            rtp: SocketAddr::new(MEDIA, port),
            advertised: MEDIA,
        })
    }

    fn relocate(&mut self, _from: u8, port: PortId, _to: u8) -> Result<PortId, NoPort> {
        Ok(port)
    }

    fn command(&mut self, _worker: u8, command: PortCommand) -> Result<(), RingFull> {
        if let PortCommand::Close { port } = command {
            let stats = Default::default();
            self.events.push_back(PortEvent::Closed { port, stats });
        }
        Ok(())
    }

    fn release(&mut self, _worker: u8, _port: PortId) {}

    fn poll_event(&mut self) -> Option<(u8, PortEvent)> {
        self.events.pop_front().map(|event| (0, event))
    }
}
