//! The control thread: feeds the pure shard, carries out what it wants, sleeps until it is due.
//!
//! One thread, and no runtime: it waits in a [`Bell`] for a message from the network, a command of the
//! API, a word from the edge, the media workers' wake-up, and the shard's own deadline.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use clock::Now;
use sip::transport::Flow;
use tokio::sync::mpsc;

use super::commands;
use super::edge::Edge;
use super::seeing::{Seen, Watch};
use crate::api;
use crate::control::{Control, Gate, Output};
use crate::io::bell::{Bell, Tell, Woken};
use crate::io::clock::SystemClock;
use crate::io::net::{GatePolicy, Inbox, NetInput, NetSender};

/// Messages read in one go: what a millisecond of a flood brings. What waits is served in between.
const READ_MAX: usize = 256;
/// Messages served between two looks at what has come: about half a millisecond's.
const SERVE_MAX: usize = 8;
/// Words and commands taken between two looks.
const WORDS_MAX: usize = 64;

/// Deadlines are met together, at most so late: a timer of SIP or of a plan is not so fine, and a wake-up
/// of its own costs more than what it does.
const GRID: Duration = Duration::from_millis(5);

/// Turns in which all is served begin no closer than this. A message that comes alone after a pause is served
/// at once; of those that follow each other, waking for each by itself costs as much as serving it.
const PACE: Duration = Duration::from_millis(1);

/// How long to sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// How long to leave the network alone when it has taken no more.
const AGAIN: Duration = Duration::from_millis(5);

/// The media workers' key in the bell; the sockets' count from 0.
const MEDIA: u32 = u32::MAX;

/// Words from the edge that may wait.
const ASKS_MAX: usize = 4_096;

/// How long to leave what comes alone, so that some of it comes together: the turn began `since` ago, and
/// nothing is to be done for `idle`.
fn rest(since: Duration, idle: Duration) -> Duration {
    PACE.saturating_sub(since).min(idle)
}

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
    pub(super) closings: Closings,
}

/// Connections that are to be closed, while the network's queue is full: nobody asks for that again.
#[derive(Debug, Default)]
pub(super) struct Closings {
    /// Never more than connections were open.
    waiting: VecDeque<Flow>,
}

impl Closings {
    /// Has one closed after those that wait.
    fn add(&mut self, flow: Flow, close: impl FnMut(Flow) -> bool) {
        self.waiting.push_back(flow);
        self.drive(close);
    }

    /// Has all closed that the network takes.
    fn drive(&mut self, mut close: impl FnMut(Flow) -> bool) {
        while let Some(flow) = self.waiting.front()
            && close(*flow)
        {
            self.waiting.pop_front();
        }
    }

    /// The longest sleep before it is tried again.
    fn patience(&self) -> Duration {
        match self.waiting.is_empty() {
            true => IDLE,
            false => AGAIN,
        }
    }
}

impl Shard {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// When the system cannot watch the sockets or the media workers' descriptor.
    pub(super) fn run(mut self, mut inputs: Inputs) -> std::io::Result<()> {
        let bell = Bell::new()?;
        bell.watch(&inputs.media, MEDIA, Tell::Each)?;
        inputs.packets.watch(&bell)?;
        // What was sent before anybody listened.
        bell.waker().wake_by_ref();
        let mut cx = Context::from_waker(bell.waker());
        let mut begun = self.clock.now();
        let mut more = true;
        loop {
            self.carry_out();
            if self.control.is_stopped() {
                return Ok(());
            }
            if !more {
                bell.rest(rest(self.clock.now().since(begun), self.sleep()));
            }
            let mut rung = false;
            bell.wait(self.sleep(), |woken| {
                rung |= woken == Woken::Rung;
                inputs.packets.heed(woken);
            });
            begun = self.clock.now();
            if rung {
                self.take_words(&mut cx, &mut inputs);
            }
            more = self.take_packets(&mut cx, &mut inputs.packets);
            let now = self.clock.now();
            self.control.look_after_load(now);
            self.control.poll_media(now);
            if self.control.deadline().is_some_and(|at| at <= now) {
                self.control.handle_timeout(now);
            }
        }
    }

    /// Does what the edge and the API want.
    fn take_words(&mut self, cx: &mut Context<'_>, inputs: &mut Inputs) {
        for _ in 0..WORDS_MAX {
            let asked = inputs.asks.poll_recv(cx);
            let idle = asked.is_pending();
            match asked {
                Poll::Ready(Some(ask)) => ask(&mut self.control, self.clock.now()),
                Poll::Ready(None) => self.control.stop(),
                Poll::Pending => {}
            }
            if let Poll::Ready(Some(command)) = inputs.commands.poll_recv(cx) {
                let now = self.clock.now();
                commands::carry_out(&mut self.control, &self.edge, now, command);
            } else if idle || self.control.is_stopped() {
                return;
            }
            self.carry_out();
        }
        // More may wait: they are looked into again at the next turn.
        cx.waker().wake_by_ref();
    }

    /// Reads what has come and serves some of it in control's order, so that nothing good is lost in a
    /// socket's buffer while control is behind; whether more may be there to read.
    fn take_packets(&mut self, cx: &mut Context<'_>, packets: &mut Inbox) -> bool {
        let now = self.clock.now();
        let read = (0..READ_MAX).map_while(|_| packets.take(cx));
        let more = read.map(|input| self.on_net(now, input)).count() == READ_MAX;
        if more {
            cx.waker().wake_by_ref();
        }
        self.carry_out();
        for _ in 0..SERVE_MAX {
            if !self.serve() {
                break;
            }
        }
        more
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

    /// How long nothing need be done.
    fn sleep(&self) -> Duration {
        // Somebody waits to be served: only a look at the others, then on.
        if self.control.has_waiting() {
            return Duration::ZERO;
        }
        let patience = self.closings.patience();
        let Some(due) = self.control.deadline() else {
            return patience;
        };
        let grid = GRID.as_nanos() as u64;
        let due = Now::from_nanos(due.as_nanos().div_ceil(grid).saturating_mul(grid));
        due.since(self.clock.now()).min(patience)
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
        self.closings.drive(|flow| self.net.close(flow));
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    self.watch.message(self.clock.now(), true, flow, &bytes);
                    // Full means that the network is far behind: SIP's own timers send it again.
                    let _ = self.net.send(flow, bytes);
                }
                Output::Rebuff { flow, bytes } => drop(self.net.send(flow, bytes)),
                Output::Gate(gate) => self.set_gate(gate),
                Output::Note(note) => self.watch.see(Seen::Note(note)),
                Output::Captured(captured) => self.watch.see(Seen::Captured(captured)),
                Output::Event(event) => {
                    self.watch.event(&event);
                    self.edge.carry_out(Output::Event(event));
                }
                Output::Vouch { flow } => self.net.vouch(flow),
                Output::Close { flow } => self.closings.add(flow, |flow| self.net.close(flow)),
                output => self.edge.carry_out(output),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, Closings, IDLE, PACE, rest};
    use sip::transport::{Flow, ListenerId};
    use std::time::Duration;

    #[test]
    fn what_is_to_be_closed_waits_for_the_network_in_its_order() {
        let flow = |port| Flow::udp(ListenerId(0), ([192, 0, 2, 1], port).into());
        let mut closings = Closings::default();
        let mut closed = Vec::new();
        // The network takes one, then none, then all.
        for (port, room) in [(1, 1), (2, 0), (3, 0)] {
            let mut room = room;
            closings.add(flow(port), |flow| {
                let takes = room > 0;
                room -= i32::from(takes);
                closed.extend(takes.then_some(flow));
                takes
            });
        }
        assert_eq!(
            (closed.as_slice(), closings.patience()),
            (&[flow(1)][..], AGAIN)
        );
        closings.drive(|flow| {
            closed.push(flow);
            true
        });
        assert_eq!(closed, [flow(1), flow(2), flow(3)]);
        assert_eq!(closings.patience(), IDLE);
    }

    #[test]
    fn a_turn_after_a_pause_begins_at_once_and_one_that_follows_waits_for_company() {
        let ms = Duration::from_millis;
        let long = Duration::from_secs(10);
        let table = [
            ("after a pause", ms(50), long, Duration::ZERO),
            ("at the pace", PACE, long, Duration::ZERO),
            ("too soon", PACE / 4, long, PACE * 3 / 4),
            ("somebody waits", PACE / 4, Duration::ZERO, Duration::ZERO),
            ("something is due first", PACE / 4, PACE / 2, PACE / 2),
        ];
        for (what, since, idle, want) in table {
            assert_eq!(rest(since, idle), want, "{what}");
        }
    }
}
