//! A bare loop: what the system's calls alone cost. It waits on the poll set, receives from one end's
//! socket, and sends by the other's, each connected to its end; it decides nothing.

use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};

use lab::server::Server;
use rustix::event::epoll;

use super::{Peer, ends};

/// A child process that runs [`run`].
pub(crate) struct Bare {
    server: Server,
}

impl Bare {
    pub(crate) fn start(calls: u32) -> Self {
        let own = std::env::current_exe().unwrap();
        Self {
            server: Server::other(&own, &["bare", &calls.to_string()]),
        }
    }
}

impl Peer for Bare {
    fn server(&self) -> &Server {
        &self.server
    }

    fn call(&mut self, n: u32, _: [SocketAddr; 2]) -> Result<[SocketAddr; 2], String> {
        Ok(addresses(n))
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((BARE, 0))
    }

    fn end(&mut self) {}
}

/// The loop's own addresses for call `n`.
fn addresses(n: u32) -> [SocketAddr; 2] {
    let port = 20_000 + 4 * n as u16;
    [port, port + 2].map(|port| SocketAddr::from((BARE, port)))
}

/// Relays so many calls until it is killed.
pub(crate) fn run(calls: u32) -> ! {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut sockets = Vec::new();
    for n in 0..calls {
        for (own, end) in addresses(n).into_iter().zip(ends(n)) {
            let socket = UdpSocket::bind(own).unwrap();
            socket.connect(end).unwrap();
            socket.set_nonblocking(true).unwrap();
            let data = epoll::EventData::new_u64(sockets.len() as u64);
            epoll::add(&poll, &socket, data, epoll::EventFlags::IN).unwrap();
            sockets.push(socket);
        }
    }
    let mut ready = [const { MaybeUninit::uninit() }; 256];
    let mut packet = [0; 1_500];
    loop {
        let Ok((ready, _)) = epoll::wait(&poll, &mut ready[..], None) else {
            continue;
        };
        for event in ready {
            let n = event.data.u64() as usize;
            if let Ok(length) = sockets[n].recv(&mut packet) {
                let _ = sockets[n ^ 1].send(&packet[..length]);
            }
        }
    }
}

const BARE: [u8; 4] = [127, 0, 10, 3];
