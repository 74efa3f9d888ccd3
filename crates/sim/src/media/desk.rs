//! One party's end of the studio, as a media plane.

use std::net::IpAddr;
use std::sync::Arc;

use media::port::PortId;
use media::worker::{
    IpFamily, MediaPlane, NoPort, PortCommand, PortEvent, Reserved, RingFull, WebEnd, WebPeer,
};
use parking_lot::Mutex;

use super::{SERVER_IP, Studio};

/// One party's end of the studio. Only one thread ever takes the lock: it is there because a media
/// plane must be able to move to another.
#[derive(Clone)]
pub struct Desk {
    studio: Arc<Mutex<Studio>>,
    ip: IpAddr,
    phone: bool,
}

impl Desk {
    /// The server's end.
    pub fn server(studio: Arc<Mutex<Studio>>) -> Self {
        Self {
            studio,
            ip: SERVER_IP,
            phone: false,
        }
    }

    /// A phone's end, at its own address.
    pub(crate) fn phone(studio: Arc<Mutex<Studio>>, ip: IpAddr) -> Self {
        Self {
            studio,
            ip,
            phone: true,
        }
    }
}

impl MediaPlane for Desk {
    fn reserve(&mut self, _family: IpFamily) -> Result<Reserved, NoPort> {
        let mut studio = self.studio.lock();
        let worker = match self.phone {
            true => studio.phones(),
            false => studio.least_loaded(),
        };
        studio.reserve(worker, self.ip)
    }

    fn reserve_beside(&mut self, worker: u8, _family: IpFamily) -> Result<Reserved, NoPort> {
        self.studio.lock().reserve(worker, self.ip)
    }

    fn relocate(&mut self, from: u8, port: PortId, to: u8) -> Result<PortId, NoPort> {
        self.studio.lock().relocate(from, port, to)
    }

    fn reserve_web(&mut self, beside: Option<u8>) -> Result<(Reserved, WebEnd), NoPort> {
        let mut studio = self.studio.lock();
        let worker = beside.unwrap_or_else(|| studio.least_loaded());
        studio.reserve_web(worker, self.ip)
    }

    fn meet(&mut self, worker: u8, port: PortId, peer: WebPeer) -> Result<(), RingFull> {
        self.studio.lock().meet(worker, port, &peer)
    }

    fn command(&mut self, worker: u8, command: PortCommand) -> Result<(), RingFull> {
        self.studio.lock().command(worker, command)
    }

    fn release(&mut self, worker: u8, port: PortId) {
        self.studio.lock().release(worker, port);
    }

    fn poll_event(&mut self) -> Option<(u8, PortEvent)> {
        let mut studio = self.studio.lock();
        let phones = studio.phones();
        let mut workers = if self.phone {
            phones..phones + 1
        } else {
            0..phones
        };
        workers.find_map(|worker| studio.poll(worker).map(|event| (worker, event)))
    }
}
