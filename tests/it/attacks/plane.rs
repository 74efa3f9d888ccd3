//! Media without media: ports are numbers, and what is closed says so.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use media::port::{PortId, PortStats};
use media::worker::{IpFamily, MediaPlane, NoPort, PortCommand, PortEvent, Reserved, RingFull};

#[derive(Default)]
pub(super) struct Plane {
    next: u32,
    events: VecDeque<(u8, PortEvent)>,
}

impl MediaPlane for Plane {
    fn reserve(&mut self, _family: IpFamily) -> Result<Reserved, NoPort> {
        self.next += 1;
        let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let port = 20_000 + u16::try_from(self.next % 5_000).unwrap() * 2;
        Ok(Reserved {
            worker: 0,
            port: PortId(self.next),
            rtp: SocketAddr::new(ip, port),
            advertised: ip,
        })
    }

    fn reserve_beside(&mut self, _worker: u8, family: IpFamily) -> Result<Reserved, NoPort> {
        self.reserve(family)
    }

    fn relocate(&mut self, _from: u8, port: PortId, _to: u8) -> Result<PortId, NoPort> {
        Ok(port)
    }

    fn command(&mut self, worker: u8, command: PortCommand) -> Result<(), RingFull> {
        if let PortCommand::Close { .. } = command {
            let (port, stats) = (command.port(), PortStats::default());
            self.events
                .push_back((worker, PortEvent::Closed { port, stats }));
        }
        Ok(())
    }

    fn release(&mut self, _worker: u8, _port: PortId) {}

    fn poll_event(&mut self) -> Option<(u8, PortEvent)> {
        self.events.pop_front()
    }
}
