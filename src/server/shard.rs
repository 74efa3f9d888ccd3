//! The control thread: feeds the pure shard, carries out what it wants, sleeps until it is due.
//!
//! One thread and a current-thread runtime. It waits for a message from the network, a command of the
//! API, a word from the edge, the media workers' wake-up, and the shard's own deadline.

use std::os::fd::OwnedFd;
use std::time::Duration;

use clock::Now;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::commands;
use super::edge::Edge;
use super::seeing::{Seen, Watch};
use crate::api;
use crate::control::{Control, Gate, Output};
use crate::io::clock::SystemClock;
use crate::io::net::{GatePolicy, Inbox, NetInput, NetSender};

/// Messages read in one go: what a millisecond of a flood brings. What waits is served in between.
const READ_MAX: usize = 256;
/// Messages served between two looks at what has come: about half a millisecond's.
const SERVE_MAX: usize = 8;
/// Rounds of both before everybody else has a turn.
const ROUNDS_MAX: usize = 4;

/// Words from the edge that may wait.
const ASKS_MAX: usize = 4_096;

/// Something the edge wants done on the control thread, between two inputs.
pub(super) type Ask = Box<dyn FnOnce(&mut Control, Now) + Send>;

/// A handle by which the edge reaches the shard.
#[derive(Clone)]
pub(super) struct ShardHandle {
    asks: mpsc::Sender<Ask>,
}

impl ShardHandle {
    /// Has `ask` done; waits only for room in the queue. A shard that is gone needs no telling.
    pub(super) async fn tell(&self, ask: impl FnOnce(&mut Control, Now) + Send + 'static) {
        let _ = self.asks.send(Box::new(ask)).await;
    }
}

/// The two ends of the edge's way to the shard.
pub(super) fn channel() -> (ShardHandle, mpsc::Receiver<Ask>) {
    let (asks, receiver) = mpsc::channel(ASKS_MAX);
    (ShardHandle { asks }, receiver)
}

/// What the shard listens to.
pub(super) struct Inputs {
    pub(super) packets: Inbox,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) commands: mpsc::Receiver<api::Command>,
    /// Readable when media workers have something to say.
    pub(super) media: OwnedFd,
}

/// The control thread's own data.
pub(super) struct Shard {
    pub(super) control: Control,
    pub(super) clock: SystemClock,
    pub(super) net: NetSender,
    pub(super) edge: Edge,
    pub(super) watch: Watch,
}

impl Shard {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// When the runtime cannot watch the sockets or the media workers' descriptor.
    pub(super) async fn run(mut self, inputs: Inputs) -> std::io::Result<()> {
        let Inputs {
            mut packets,
            mut asks,
            mut commands,
            media,
        } = inputs;
        #[expect(
            deprecated,
            reason = "unsound only for types that are not I/O safe: OwnedFd is"
        )]
        let media = AsyncFd::new(media)?;
        packets.watch()?;
        loop {
            self.carry_out();
            if self.control.is_stopped() {
                return Ok(());
            }
            let wake = self.wake_at();
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(ask) => ask(&mut self.control, self.clock.now()),
                    None => self.control.stop(),
                },
                // Once the transports have stopped, nothing comes any more.
                true = packets.ready() => {}
                ready = media.readable() => {
                    let mut count = [0; 8];
                    // Another wake-up may have been read already: nothing is lost by that.
                    let _ = rustix::io::read(&media, &mut count);
                    ready?.clear_ready();
                }
                Some(command) = commands.recv() => {
                    let now = self.clock.now();
                    commands::carry_out(&mut self.control, &self.edge, now, command);
                }
                () = tokio::time::sleep_until(wake) => {}
            }
            self.take_waiting(&mut packets);
            let now = self.clock.now();
            self.control.look_after_load(now);
            self.control.poll_media(now);
            if self.control.deadline().is_some_and(|at| at <= now) {
                self.control.handle_timeout(now);
            }
        }
    }

    /// Reads what has come and serves it in control's order, so that nothing good is lost in a socket's
    /// buffer while control is behind.
    fn take_waiting(&mut self, packets: &mut Inbox) {
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let read = (0..READ_MAX).map_while(|_| packets.take());
            let read = read.map(|input| self.on_net(now, input)).count();
            self.carry_out();
            let mut served = 0;
            while served < SERVE_MAX && self.serve() {
                served += 1;
            }
            if read == 0 && served == 0 {
                return;
            }
        }
    }

    fn set_gate(&self, gate: Gate) {
        let policy = GatePolicy {
            calls: gate.pass.calls,
            rest: gate.pass.rest,
            emergency: gate.emergency,
            known: gate.known,
        };
        if let Err(error) = self.net.set_gate(&policy) {
            tracing::debug!(%error, "the system takes no filter: all that comes is read");
        }
    }

    fn wake_at(&self) -> tokio::time::Instant {
        // Somebody waits to be served: only a look at the others, then on.
        if self.control.has_waiting() {
            return tokio::time::Instant::now();
        }
        let idle = self.clock.now() + Duration::from_secs(3_600);
        let due = self.control.deadline().unwrap_or(idle);
        tokio::time::Instant::from_std(self.clock.instant(due.min(idle)))
    }

    /// Serves the message whose turn it is; `false` if none waits. A trace sees what is served, not what a
    /// flood is refused.
    fn serve(&mut self) -> bool {
        let now = self.clock.now();
        let Some((flow, bytes)) = self.control.next(now) else {
            return false;
        };
        self.watch.message(now, false, flow, &bytes);
        self.control.receive(now, flow, bytes);
        self.carry_out();
        true
    }

    fn on_net(&mut self, now: Now, input: NetInput) {
        match input {
            NetInput::Packet { flow, bytes } => self.control.offer(now, flow, bytes),
            NetInput::Unframeable { flow, error } => {
                self.control.unframeable(now, flow, &error);
            }
            NetInput::FlowFailed(flow) => self.control.flow_failed(now, flow),
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    self.watch.message(self.clock.now(), true, flow, &bytes);
                    // Full means that the network is far behind: SIP's own timers send it again.
                    let _ = self.net.send(flow, bytes);
                }
                Output::Gate(gate) => self.set_gate(gate),
                Output::Note(note) => self.watch.see(Seen::Note(note)),
                Output::Captured(captured) => self.watch.see(Seen::Captured(captured)),
                Output::Event(event) => {
                    self.watch.event(&event);
                    self.edge.carry_out(Output::Event(event));
                }
                Output::Vouch { flow } => self.net.vouch(flow),
                output => self.edge.carry_out(output),
            }
        }
    }
}
