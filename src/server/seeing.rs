//! What the control shard sees, carried to the journal beside it: messages, events, notes, packets.
//!
//! Control hands everything to a bounded queue and goes on; a task of the edge keeps the journal,
//! empties the rings of captured ports, answers the API and speaks to a Homer. A queue that is full
//! loses the newest, counted: a trace then has a gap, and no call notices.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use sip::transport::{Flow, ListenerId};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::sockets::WebFace;
use crate::api::{TraceQuery, Traces};
use crate::config::Config;
use crate::control::{Captured, Control, Event, Note, What};
use crate::io::clock::SystemClock;
use crate::io::net::Net;
use crate::trace::{HepConfig, Journal, RtpConfig, SipMessage, Story, TraceConfig, hep, pcapng};

/// Something that was seen.
#[derive(Debug)]
pub(super) enum Seen {
    Message {
        at: Now,
        sent: bool,
        flow: Flow,
        bytes: Bytes,
    },
    Event(Event),
    Note(Note),
    Captured(Captured),
}

/// The control thread's end.
#[derive(Debug)]
pub(super) struct Watch {
    queue: Option<mpsc::Sender<Seen>>,
    load: Arc<Load>,
    rtp: Option<RtpConfig>,
}

/// What waits in the queue, and what found no room.
#[derive(Debug, Default)]
struct Load {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Watch {
    /// Has control note what a trace wants to know, if there is to be one.
    pub(super) fn begin(&self, control: &mut Control) {
        if let Some(rtp) = self.rtp {
            control.note(rtp.every_call, rtp.ports);
        }
    }

    /// A message came or goes.
    pub(super) fn message(&self, at: Now, sent: bool, flow: Flow, bytes: &Bytes) {
        let Some(queue) = &self.queue else { return };
        // The last places are for notes and events: without them messages have no call.
        let waiting = self.load.bytes.load(Ordering::Relaxed);
        if queue.capacity() <= NOTES_RESERVED || waiting > WAITING_BYTES_MAX {
            self.load.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.load.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let bytes = bytes.clone();
        self.see(Seen::Message {
            at,
            sent,
            flow,
            bytes,
        });
    }

    /// Something happened to a call.
    pub(super) fn event(&self, event: &Event) {
        if self.queue.is_some() && (event.call.is_some() || is_refusal(event)) {
            self.see(Seen::Event(event.clone()));
        }
    }

    /// Hands over something else.
    pub(super) fn see(&self, seen: Seen) {
        let Some(queue) = &self.queue else { return };
        if let Err(error) = queue.try_send(seen) {
            self.load.dropped.fetch_add(1, Ordering::Relaxed);
            if let Seen::Message { bytes, .. } = error.into_inner() {
                self.load.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
        }
    }
}

fn is_refusal(event: &Event) -> bool {
    matches!(event.what, What::Refused { .. })
}

/// The journal's task, before it runs, and the ways to it.
pub(super) struct Seeing {
    pub(super) watch: Watch,
    pub(super) traces: Option<Traces>,
    pub(super) keeper: Option<Keeper>,
}

impl Seeing {
    /// As the configuration wants it.
    pub(super) async fn prepare(
        trace: TraceConfig,
        config: &Config,
        (net, web): (&Net, &[WebFace]),
        clock: SystemClock,
    ) -> Self {
        let load = Arc::new(Load::default());
        if !trace.enabled {
            return Self {
                watch: Watch {
                    queue: None,
                    load,
                    rtp: None,
                },
                traces: None,
                keeper: None,
            };
        }
        let (queue, seen) = mpsc::channel(SEEN_MAX);
        let (traces, queries) = Traces::new();
        let rtp = Some(trace.rtp);
        let keeper = Keeper {
            homer: Homer::new(trace.hep.clone()).await,
            journal: Journal::new(trace, listeners(config, net, web)),
            seen,
            queries,
            load: load.clone(),
            captures: Vec::new(),
            clock,
            unix_nanos_at_zero: at_zero(clock),
        };
        Self {
            watch: Watch {
                queue: Some(queue),
                load,
                rtp,
            },
            traces: Some(traces),
            keeper: Some(keeper),
        }
    }
}

/// The wall clock at [`Now::ZERO`], in ns since 1970.
fn at_zero(clock: SystemClock) -> u64 {
    let wall = clock.wall().as_nanosecond();
    u64::try_from(wall - i128::from(clock.now().as_nanos())).unwrap_or(0)
}

/// Our address at each listener, as peers see it.
fn listeners(config: &Config, net: &Net, web: &[WebFace]) -> HashMap<ListenerId, SocketAddr> {
    let heard = config.sip.listeners.iter().zip(net.bound());
    let address = |(listener, bound): (&crate::config::Listener, &crate::io::net::Bound)| {
        let advertised = listener.advertised_host.parse::<IpAddr>().ok();
        let ip = match advertised {
            Some(ip) if bound.local.ip().is_unspecified() => ip,
            _ => bound.local.ip(),
        };
        (bound.config.id, SocketAddr::new(ip, bound.local.port()))
    };
    let pages = web.iter().map(|it| (it.id, it.bound));
    heard.map(address).chain(pages).collect()
}

/// The task that keeps the journal.
pub(super) struct Keeper {
    journal: Journal,
    seen: mpsc::Receiver<Seen>,
    queries: mpsc::Receiver<TraceQuery>,
    load: Arc<Load>,
    captures: Vec<Captured>,
    homer: Homer,
    clock: SystemClock,
    unix_nanos_at_zero: u64,
}

impl Keeper {
    /// Keeps the journal until control is gone.
    pub(super) async fn run(mut self) {
        let mut idle = true;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            // While something comes, it is taken twenty times a second and not one by one: a send
            // that finds nobody waiting costs control a tenth of one that must wake this task.
            tokio::select! {
                Some(query) = self.queries.recv() => {
                    self.take_all();
                    self.answer(query);
                }
                seen = self.seen.recv(), if idle => match seen {
                    Some(seen) => {
                        self.take(seen);
                        self.take_all();
                        idle = false;
                    }
                    None => break,
                },
                () = tokio::time::sleep(PAUSE), if !idle => {
                    let busy = self.take_all();
                    self.homer.send_due(&self.journal, self.clock.now(), self.unix_nanos_at_zero);
                    idle = !busy && self.captures.is_empty() && self.homer.waiting.is_empty();
                }
                _ = second.tick() => {
                    self.journal.expire(self.clock.now());
                    self.publish();
                }
            }
        }
        self.take_all();
        let late = self.clock.now() + TIED_WITHIN;
        self.homer
            .send_due(&self.journal, late, self.unix_nanos_at_zero);
    }

    /// Whether there was anything.
    fn take_all(&mut self) -> bool {
        let mut taken = false;
        while let Ok(seen) = self.seen.try_recv() {
            taken = true;
            self.take(seen);
        }
        self.take_packets();
        taken
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Message {
                at,
                sent,
                flow,
                bytes,
            } => {
                self.load.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                let kept = self.journal.message(at, sent, flow, &bytes);
                if let Some(kept) = kept {
                    self.homer.wants(kept);
                }
            }
            Seen::Event(event) => self.journal.event(&event),
            Seen::Note(note) => self.journal.note(note),
            Seen::Captured(captured) => self.captures.push(captured),
        }
    }

    fn take_packets(&mut self) {
        let Self {
            captures,
            journal,
            homer,
            ..
        } = self;
        captures.retain_mut(|captured| {
            // Looked at before it is emptied: what was sent before the end is then read.
            let over = captured.packets.is_abandoned();
            while let Ok(packet) = captured.packets.pop() {
                let report = journal.packet(captured.call, captured.leg, &packet);
                if let Some(report) = report {
                    let correlation = captured.call.to_string();
                    homer.report(&report, &correlation, self.unix_nanos_at_zero);
                }
            }
            !over
        });
    }

    fn answer(&self, query: TraceQuery) {
        // A client that has gone away hears nothing.
        match query {
            TraceQuery::Story { name, reply } => {
                let story = self.journal.find(&name).map(Story::without_packets);
                drop(reply.send(story.map(|story| (story, self.unix_nanos_at_zero))));
            }
            TraceQuery::File { name, reply } => {
                let story = self.journal.find(&name);
                let file = story.map(|story| pcapng::file(story, self.unix_nanos_at_zero));
                drop(reply.send(file));
            }
        }
    }

    fn publish(&self) {
        let counts = self.journal.counts();
        metrics::gauge!("tandem_trace_stories").set(counts.stories as f64);
        metrics::gauge!("tandem_trace_bytes", "of" => "signalling").set(counts.bytes as f64);
        metrics::gauge!("tandem_trace_bytes", "of" => "packets").set(counts.packet_bytes as f64);
        let lost = [
            ("queue-full", self.load.dropped.load(Ordering::Relaxed)),
            ("no-room", counts.left_out),
            ("nameless", counts.nameless),
            ("forgotten-early", counts.forgotten),
            ("hep", self.homer.dropped),
        ];
        for (why, count) in lost {
            metrics::counter!("tandem_trace_left_out_total", "why" => why).absolute(count);
        }
    }
}

/// Who is sent a copy of messages and reports, if anybody.
struct Homer {
    to: Option<(HepConfig, UdpSocket)>,
    /// Messages whose call may not be known yet.
    waiting: VecDeque<SipMessage>,
    /// What was not sent: too many waited, or the system refused.
    dropped: u64,
}

impl Homer {
    async fn new(config: Option<HepConfig>) -> Self {
        let mut homer = Self {
            to: None,
            waiting: VecDeque::new(),
            dropped: 0,
        };
        if let Some(config) = config {
            let any: SocketAddr = if config.to.is_ipv4() {
                ([0; 4], 0).into()
            } else {
                ([0; 16], 0).into()
            };
            match UdpSocket::bind(any).await {
                Ok(socket) => homer.to = Some((config, socket)),
                Err(error) => tracing::error!(%error, "trace.hep: no socket; nothing is sent"),
            }
        }
        homer
    }

    fn wants(&mut self, message: SipMessage) {
        if self.to.is_none() {
            return;
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(message);
        } else {
            self.dropped += 1;
        }
    }

    fn send_due(&mut self, journal: &Journal, now: Now, unix_nanos_at_zero: u64) {
        let Some((config, socket)) = &self.to else {
            return;
        };
        let due = |message: &mut SipMessage| message.at + TIED_WITHIN <= now;
        while let Some(message) = self.waiting.pop_front_if(due) {
            let correlation = journal.correlation(&message.sip_call_id);
            let datagram = hep::sip(config, unix_nanos_at_zero, &message, &correlation);
            let sent = socket.try_send_to(&datagram, config.to);
            self.dropped += u64::from(sent.is_err());
        }
    }

    fn report(&mut self, packet: &crate::trace::Packet, correlation: &str, unix_nanos: u64) {
        let Some((config, socket)) = self.to.as_ref().filter(|(config, _)| config.rtcp) else {
            return;
        };
        if let Some(datagram) = hep::report(config, unix_nanos, packet, correlation) {
            let sent = socket.try_send_to(&datagram, config.to);
            self.dropped += u64::from(sent.is_err());
        }
    }
}

/// Things that wait for the journal: a twentieth of a second at 300,000 a second.
const SEEN_MAX: usize = 16_384;

/// Places of those that messages leave to notes and events.
const NOTES_RESERVED: usize = 2_048;

/// Bytes of messages that wait for the journal.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Between two looks at what has come.
const PAUSE: Duration = Duration::from_millis(50);

/// By then a message's call is known.
const TIED_WITHIN: Duration = Duration::from_millis(100);

/// Messages that wait for a Homer.
const WAITING_MAX: usize = 8_192;

#[cfg(test)]
mod tests {

    use super::*;

    fn watch() -> (Watch, mpsc::Receiver<Seen>) {
        let (queue, seen) = mpsc::channel(SEEN_MAX);
        let watch = Watch {
            queue: Some(queue),
            load: Arc::new(Load::default()),
            rtp: None,
        };
        (watch, seen)
    }

    fn flow() -> Flow {
        Flow::udp(ListenerId(0), ([127, 0, 0, 2], 5_060).into())
    }

    #[test]
    fn a_flood_fills_neither_memory_nor_the_places_of_notes_and_what_is_lost_is_counted() {
        let (watch, mut seen) = watch();
        let small = Bytes::from_static(b"OPTIONS sip:x SIP/2.0\r\n\r\n");
        for _ in 0..2 * SEEN_MAX {
            watch.message(Now::ZERO, false, flow(), &small);
        }
        let dropped = watch.load.dropped.load(Ordering::Relaxed);
        assert_eq!(dropped as usize, SEEN_MAX + NOTES_RESERVED);
        let event = Event {
            at: Now::ZERO,
            call: Some(crate::call::CallId(1)),
            what: What::Answered,
        };
        watch.event(&event);
        assert_eq!(watch.load.dropped.load(Ordering::Relaxed), dropped);
        while seen.try_recv().is_ok() {}
        watch.load.bytes.store(0, Ordering::Relaxed);
        let large = Bytes::from(vec![b'x'; 65_000]);
        for _ in 0..1_000 {
            watch.message(Now::ZERO, false, flow(), &large);
        }
        let waiting = watch.load.bytes.load(Ordering::Relaxed);
        assert!(waiting < WAITING_BYTES_MAX + 65_000, "{waiting}");
        let mut kept = 0;
        while seen.try_recv().is_ok() {
            kept += 1;
        }
        assert_eq!(kept, WAITING_BYTES_MAX / 65_000 + 1);
    }

    /// Prints what a message costs control; it must not be the parsing, which is done beside it.
    #[test]
    fn handing_a_message_over_costs_less_than_keeping_it() {
        let (watch, mut seen) = watch();
        let text = "x".repeat(600);
        let message = Bytes::from(format!(
            "INVITE sip:100@h SIP/2.0\r\nX: {text}\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n"
        ));
        let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_nsec;
        let count = 10_000_u32;
        let begun = spent();
        for _ in 0..count {
            watch.message(Now::ZERO, false, flow(), &message);
        }
        let handing = (spent() - begun).rem_euclid(1_000_000_000);
        let config = TraceConfig::read(crate::config::Section::default()).unwrap();
        let mut journal = Journal::new(config, HashMap::new());
        let begun = spent();
        while let Ok(Seen::Message {
            at,
            sent,
            flow,
            bytes,
        }) = seen.try_recv()
        {
            assert!(journal.message(at, sent, flow, &bytes).is_some());
        }
        let keeping = (spent() - begun).rem_euclid(1_000_000_000);
        let each = |total| total / i64::from(count);
        println!(
            "handing over {} ns, keeping {} ns",
            each(handing),
            each(keeping)
        );
        assert!(handing < keeping, "{handing} {keeping}");
    }
}
