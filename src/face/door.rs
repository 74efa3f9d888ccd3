//! Where a WebSocket's client meets its face.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Parked;
use super::desk::{self, Desks};
use super::socket::Socket;
use super::task::run;
use super::verto::{Settings, Verto};
use crate::access::Access;
use crate::io::clock::SystemClock;
use crate::io::net::{Arrival, WebDoor};

/// What every face is made with.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The way to the SIP transports.
    pub door: WebDoor,
    /// The process's clock.
    pub clock: SystemClock,
    /// What the server is called, in the addresses of its users.
    pub host: String,
    /// Calls that pages have left.
    pub parked: Arc<Parked>,
    /// Whose tokens are.
    pub access: Access,
    /// What desks share.
    pub desks: Desks,
    /// Where its tasks are counted.
    pub tasks: TaskTracker,
    /// The server's end.
    pub stop: CancellationToken,
}

impl Faces {
    /// Speaks the desk's protocol with whoever is on that connection, until either side ends.
    pub async fn desk(&self, arrival: Arrival, stream: OnUpgrade) {
        let transport = arrival.transport;
        let pipe = self.door.pipe(arrival).await;
        let caller = desk::Caller {
            transport,
            host: self.host.clone(),
        };
        let desk = desk::Attended::new(self.desks.clone(), caller);
        let (clock, stop) = (self.clock, self.stop.clone());
        self.tasks.spawn(async move {
            if let Ok(socket) = Socket::open(stream).await {
                run(socket, pipe, desk, clock, stop).await;
            }
        });
    }

    /// Speaks Verto with whoever is on that connection, until either side ends.
    pub async fn verto(&self, arrival: Arrival, stream: OnUpgrade) {
        let transport = arrival.transport;
        let Some(random) = random() else {
            tracing::error!("the system has no randomness: a client is turned away");
            return;
        };
        let pipe = self.door.pipe(arrival).await;
        let verto = Verto::new(Settings {
            transport,
            host: self.host.clone(),
            random,
            parked: Arc::clone(&self.parked),
            access: self.access.clone(),
            wall: self.wall(),
        });
        let (clock, stop) = (self.clock, self.stop.clone());
        self.tasks.spawn(async move {
            if let Ok(socket) = Socket::open(stream).await {
                run(socket, pipe, verto, clock, stop).await;
            }
        });
    }
}

impl Faces {
    /// The wall clock as it was when the other began.
    fn wall(&self) -> Timestamp {
        let since = self.clock.now().since(clock::Now::ZERO);
        let wall = self.clock.wall();
        wall.checked_sub(since).unwrap_or(wall)
    }
}

/// 128 bits that nobody can guess.
fn random() -> Option<[u64; 2]> {
    let mut bytes = [[0; 8]; 2];
    for word in &mut bytes {
        getrandom::fill(word).ok()?;
    }
    Some(bytes.map(u64::from_le_bytes))
}
