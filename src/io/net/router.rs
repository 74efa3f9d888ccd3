//! Who is connected: the one owner of the table of connections, and the way of each outgoing message.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sip::transport::{ConnectionId, Flow, ListenerId, PeerId, Transport};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::strangers::{Strangers, owner};
use super::stream::{self, Connection, Origin};
use super::{Bound, NetCounts, NetInput, Order, Shared, Sockets, Turn, udp};

/// Serves until the transports stop, then sends what is queued and waits for every connection to close.
pub(super) async fn run(
    shared: Arc<Shared>,
    sockets: Sockets,
    streams: Vec<(Bound, TcpListener)>,
    (accepts_tx, mut accepts): (mpsc::Sender<Accepted>, mpsc::Receiver<Accepted>),
    mut outputs: mpsc::Receiver<Order>,
) {
    let mut router = Router::new(Arc::clone(&shared), sockets);
    let mut loops = JoinSet::new();
    for (bound, socket) in streams {
        router.streams.insert(
            bound.config.id.0,
            (bound.config.transport, bound.local.ip()),
        );
        let shared = Arc::clone(&shared);
        loops.spawn(accept(shared, bound, socket, accepts_tx.clone()));
    }
    drop(accepts_tx);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            Some(order) = outputs.recv() => router.carry_out(order),
            Some(accepted) = accepts.recv() => router.take_in(accepted),
            Some(ended) = router.tasks.join_next_with_id() => router.ended(ended),
            Ok(room) = shared.inputs.reserve(), if !router.failures.is_empty() => {
                if let Some(flow) = router.failures.pop_front() {
                    room.send(NetInput::FlowFailed(flow));
                }
            }
        }
    }
    while let Ok(order) = outputs.try_recv() {
        router.carry_out(order);
    }
    // Without its sender a connection writes what it still holds, says goodbye and ends.
    router.connections.clear();
    while router.tasks.join_next().await.is_some() {}
    drop(accepts);
    while loops.join_next().await.is_some() {}
    shared.counts.connections.store(0, Ordering::Relaxed);
}

/// A connection that somebody else has opened.
pub(super) struct Accepted {
    pub(super) listener: ListenerId,
    pub(super) transport: Transport,
    pub(super) remote: SocketAddr,
    pub(super) origin: Origin,
    pub(super) turn: Option<Turn>,
}

async fn accept(
    shared: Arc<Shared>,
    bound: Bound,
    socket: TcpListener,
    accepts: mpsc::Sender<Accepted>,
) {
    let (listener, transport) = (bound.config.id, bound.config.transport);
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let accepted = Accepted {
                    listener,
                    transport,
                    remote,
                    origin: Origin::Accepted(stream),
                    turn: None,
                };
                if accepts.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly: others must close first, so give them a moment.
                tracing::warn!(listener = listener.0, %error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Entry {
    flow: Flow,
    outgoing: mpsc::Sender<Bytes>,
    spoken: Arc<AtomicBool>,
    vouched: Arc<AtomicBool>,
    evict: CancellationToken,
    /// Control has sent on it without naming it, so it must hear of its end under both flows.
    unnamed: bool,
    /// Until control knows him: his turn to come in.
    turn: Option<Turn>,
}

/// Where a message goes, and to whom: a connection on which one name was proven is nobody else's
/// (RFC 5922 §7.1, RFC 5923 §5).
type Place = (ListenerId, SocketAddr, Option<PeerId>);

fn place(flow: Flow) -> Place {
    (flow.listener, flow.remote, flow.peer)
}

struct Router {
    shared: Arc<Shared>,
    sockets: Sockets,
    streams: BTreeMap<u16, (Transport, IpAddr)>,
    /// Oldest first: ids only grow.
    connections: BTreeMap<u64, Entry>,
    /// Those that a message without a connection's name may go by: to that address, to that peer.
    by_remote: HashMap<Place, u64>,
    per_ip: HashMap<IpAddr, usize>,
    strangers: Strangers,
    by_task: HashMap<task::Id, u64>,
    tasks: JoinSet<()>,
    last_id: u64,
    /// Failures that control has not been told yet; at most [`FAILURES_MAX`].
    failures: VecDeque<Flow>,
}

impl Router {
    fn new(shared: Arc<Shared>, sockets: Sockets) -> Self {
        Self {
            shared,
            sockets,
            streams: BTreeMap::new(),
            connections: BTreeMap::new(),
            by_remote: HashMap::new(),
            per_ip: HashMap::new(),
            strangers: Strangers::default(),
            by_task: HashMap::new(),
            tasks: JoinSet::new(),
            last_id: 0,
            failures: VecDeque::new(),
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Send(flow, bytes) => self.send(flow, bytes),
            Order::Vouch(flow) => self.vouch(flow),
            // Without its sender a connection writes what it still holds, says goodbye and ends.
            Order::Close(flow) => {
                if let Some(ConnectionId(id)) = flow.connection {
                    self.forget(id);
                }
            }
        }
    }

    fn vouch(&mut self, flow: Flow) {
        let Some(ConnectionId(id)) = flow.connection else {
            return;
        };
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.vouched.store(true, Ordering::Relaxed);
            entry.turn = None;
            let (listener, ip) = (entry.flow.listener.0, entry.flow.remote.ip());
            self.strangers.remove(listener, ip, id);
        }
    }

    fn send(&mut self, flow: Flow, bytes: Bytes) {
        if flow.transport == Transport::Udp {
            let sent = match self.sockets.get(&flow.listener.0) {
                Some(socket) => udp::send(&self.shared.counts, socket, flow, &bytes),
                None => false,
            };
            if !sent {
                self.fail(flow);
            }
            return;
        }
        let found = match flow.connection {
            Some(ConnectionId(id)) => self.connections.contains_key(&id).then_some(id),
            None => self.reuse_or_open(flow),
        };
        let Some(id) = found else {
            return self.fail(flow);
        };
        let Some(entry) = self.connections.get(&id) else {
            return self.fail(flow);
        };
        match entry.outgoing.try_send(bytes) {
            Ok(()) => {}
            // Its task ends and says so itself.
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                NetCounts::add(&self.shared.counts.write_stalled);
                entry.evict.cancel();
                self.forget(id);
            }
        }
    }

    fn reuse_or_open(&mut self, flow: Flow) -> Option<u64> {
        if let Some(&id) = self.by_remote.get(&place(flow))
            && let Some(entry) = self.connections.get_mut(&id)
            && !entry.outgoing.is_closed()
        {
            entry.unnamed = true;
            return Some(id);
        }
        let &(transport, local) = self.streams.get(&flow.listener.0)?;
        if transport != flow.transport || !self.has_room(flow.listener, flow.remote.ip()) {
            return None;
        }
        NetCounts::add(&self.shared.counts.opened);
        let id = self.start(flow, Origin::Opened(local));
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.unnamed = true;
        }
        Some(id)
    }

    fn take_in(&mut self, accepted: Accepted) {
        let Accepted {
            listener,
            transport,
            remote,
            origin,
            turn,
        } = accepted;
        if !self.has_room(listener, remote.ip()) {
            // Dropping it closes it.
            return;
        }
        NetCounts::add(&self.shared.counts.accepted);
        let flow = Flow {
            transport,
            listener,
            remote,
            connection: None,
            peer: None,
        };
        let id = self.start(flow, origin);
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.turn = turn;
        }
    }

    /// Whether one more connection with `ip` fits. At a cap a stranger's has to go first, so that nobody
    /// who has proven nothing can keep others out.
    fn has_room(&mut self, listener: ListenerId, ip: IpAddr) -> bool {
        let limits = &self.shared.limits;
        let of_ip = self.per_ip.get(&owner(ip)).copied().unwrap_or(0);
        let spoke = |id: u64| {
            let entry = self.connections.get(&id);
            entry.is_some_and(|entry| entry.spoken.load(Ordering::Relaxed))
        };
        let victim = if of_ip >= limits.connections_per_ip_max {
            self.strangers.of_address(ip, spoke)
        } else if self.strangers.len(listener.0) >= limits.strangers_max {
            self.strangers.of_listener(listener.0, spoke)
        } else if self.connections.len() >= limits.connections_max {
            self.strangers.of_all(spoke)
        } else {
            return true;
        };
        let Some((id, entry)) = victim.and_then(|id| Some((id, self.connections.get(&id)?))) else {
            NetCounts::add(&self.shared.counts.refused);
            return false;
        };
        entry.evict.cancel();
        NetCounts::add(&self.shared.counts.evicted);
        self.forget(id);
        true
    }

    fn start(&mut self, flow: Flow, origin: Origin) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let flow = Flow {
            connection: Some(ConnectionId(id)),
            ..flow
        };
        let (outgoing, queue) = mpsc::channel(self.shared.limits.write_queue_max);
        let opened = matches!(origin, Origin::Opened(_));
        let spoken = Arc::new(AtomicBool::new(opened));
        let vouched = Arc::new(AtomicBool::new(opened));
        let evict = CancellationToken::new();
        let connection = Connection {
            flow,
            outgoing: queue,
            spoken: Arc::clone(&spoken),
            vouched: Arc::clone(&vouched),
            evict: evict.clone(),
        };
        let task = self
            .tasks
            .spawn(stream::run(Arc::clone(&self.shared), connection, origin));
        self.by_task.insert(task.id(), id);
        // Whoever opened a TLS connection to us has not proven a name: what we send to a name goes
        // over connections on which it was verified (RFC 5923 §9). A WebSocket is its page's alone.
        if opened || flow.transport == Transport::Tcp {
            self.by_remote.insert(place(flow), id);
        }
        *self.per_ip.entry(owner(flow.remote.ip())).or_default() += 1;
        if !opened {
            self.strangers.add(flow.listener.0, flow.remote.ip(), id);
        }
        self.connections.insert(
            id,
            Entry {
                flow,
                outgoing,
                spoken,
                vouched,
                evict,
                unnamed: false,
                turn: None,
            },
        );
        self.count_connections();
        id
    }

    fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                tracing::error!(%error, "a connection's task broke; the connection is lost");
                error.id()
            }
        };
        if let Some(id) = self.by_task.remove(&task) {
            self.forget(id);
        }
    }

    /// Takes a connection out of the table, and tells control if it may know the flow.
    fn forget(&mut self, id: u64) {
        let Some(entry) = self.connections.remove(&id) else {
            return;
        };
        let Flow {
            listener, remote, ..
        } = entry.flow;
        if self.by_remote.get(&place(entry.flow)) == Some(&id) {
            self.by_remote.remove(&place(entry.flow));
        }
        self.strangers.remove(listener.0, remote.ip(), id);
        let owner = owner(remote.ip());
        if let Some(of_ip) = self.per_ip.get_mut(&owner) {
            *of_ip = of_ip.saturating_sub(1);
            if *of_ip == 0 {
                self.per_ip.remove(&owner);
            }
        }
        if entry.spoken.load(Ordering::Relaxed) {
            self.fail(entry.flow);
        }
        if entry.unnamed {
            self.fail(Flow {
                connection: None,
                ..entry.flow
            });
        }
        self.count_connections();
        if self.connections.is_empty() {
            self.give_back();
        }
    }

    /// The room that a crowd took.
    fn give_back(&mut self) {
        self.by_remote.shrink_to(KEPT);
        self.per_ip.shrink_to(KEPT);
        self.by_task.shrink_to(KEPT);
        self.failures.shrink_to(KEPT);
    }

    fn fail(&mut self, flow: Flow) {
        if self.failures.len() >= FAILURES_MAX {
            NetCounts::add(&self.shared.counts.failures_lost);
            return;
        }
        self.failures.push_back(flow);
    }

    fn count_connections(&self) {
        let open = u64::try_from(self.connections.len()).unwrap_or(u64::MAX);
        self.shared
            .counts
            .connections
            .store(open, Ordering::Relaxed);
    }
}

/// Connections accepted that wait for the router; more wait in the system's backlog.
pub(super) const ACCEPTS_MAX: usize = 64;
/// Failures that wait for control; timers end what a lost one would have ended sooner.
const FAILURES_MAX: usize = 16_384;
/// Places that empty tables keep.
const KEPT: usize = 256;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
