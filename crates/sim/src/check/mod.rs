//! What must hold of any world. The checkers see every message on the wire, every event, record and
//! packet; they know nothing of how the server came to them.

mod calls;
mod center;
mod sound;
mod stream;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;
use clock::Now;
use tandem::call::Cdr;
use tandem::control::{Control, Event};

use calls::Calls;
use center::Queues;
pub(crate) use sound::{Sounds, WITHIN};
use stream::Streams;
pub(crate) use wire::Seen;
use wire::Wire;

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Now,
    /// At which step of the world.
    pub step: u64,
    /// Which law, and how.
    pub what: String,
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Server,
    Host(usize),
}

/// One of the last outputs, formatted only if they are to be shown.
#[derive(Clone, Debug)]
enum Output {
    Message(Side, SocketAddr, Bytes),
    Event(Event),
    Cdr(Box<Cdr>),
    Word(String),
}

/// All checkers, and what they have seen last.
pub(crate) struct Checks {
    pub(crate) now: Now,
    pub(crate) step: u64,
    wire: Wire,
    pub(crate) calls: Calls,
    queues: Queues,
    streams: Streams,
    pub(crate) sounds: Sounds,
    last: VecDeque<(Now, u64, Output)>,
    violations: Vec<Violation>,
    digest: DefaultHasher,
    outputs: u64,
    /// Outputs shown with a violation.
    pub(crate) shown: usize,
    /// Whether they are shown in any case.
    pub(crate) asked: bool,
}

/// Outputs shown with a violation, unless more are asked for.
const SHOWN: usize = 50;

impl Checks {
    /// `strict` is for paths that lose, delay and reorder nothing.
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            now: Now::ZERO,
            step: 0,
            wire: Wire::default(),
            calls: Calls::default(),
            queues: Queues::default(),
            streams: Streams::new(strict),
            sounds: Sounds::default(),
            last: VecDeque::with_capacity(SHOWN),
            violations: Vec::new(),
            digest: DefaultHasher::new(),
            outputs: 0,
            shown: SHOWN,
            asked: false,
        }
    }

    /// A message leaves somebody. The returned view goes with it to its arrival.
    pub(crate) fn sent(&mut self, by: Side, host: usize, to: SocketAddr, bytes: &Bytes) -> Seen {
        let seen = Seen::of(bytes);
        (self.now, by, bytes).hash(&mut self.digest);
        self.show(Output::Message(by, to, bytes.clone()));
        let Some(seen) = seen else {
            self.broken("a message that cannot be parsed was sent".to_owned());
            return Seen::default();
        };
        let broken = self.wire.sent(self.now, by, host, &seen);
        self.take(broken);
        if by == Side::Server {
            self.calls.server_said(self.now, host, &seen);
        }
        seen
    }

    /// It arrives.
    pub(crate) fn arrived(&mut self, at: Side, host: usize, seen: &Seen) {
        self.wire.arrived(self.now, at, host, seen);
        if at == Side::Server {
            self.calls.server_heard(self.now, host, seen);
        }
    }

    /// The server tells something. Whether queues are to be looked at.
    pub(crate) fn event(&mut self, event: &Event) -> bool {
        self.hash_debug(event);
        self.show(Output::Event(event.clone()));
        let broken = self.calls.event(event);
        self.take(broken);
        self.queues.event(event)
    }

    /// The server writes a record.
    pub(crate) fn record(&mut self, cdr: &Cdr) {
        self.hash_debug(cdr);
        self.show(Output::Cdr(Box::new(cdr.clone())));
        let broken = self.calls.record(self.now, cdr);
        self.take(broken);
    }

    /// Queues and agents after a step that changed them.
    pub(crate) fn center(&mut self, control: &Control) {
        let broken = self.queues.look(self.now, control);
        self.take(broken);
    }

    /// A packet leaves a port of the server.
    pub(crate) fn packet(&mut self, from: SocketAddr, bytes: &[u8]) {
        (self.now, from, bytes).hash(&mut self.digest);
        self.outputs += 1;
        let broken = self.streams.sent(self.now, from, bytes);
        self.take(broken);
    }

    /// Anything else worth remembering.
    pub(crate) fn word(&mut self, text: String) {
        text.hash(&mut self.digest);
        self.show(Output::Word(text));
    }

    /// A law is broken.
    pub(crate) fn broken(&mut self, what: String) {
        self.violations.push(Violation {
            at: self.now,
            step: self.step,
            what,
        });
    }

    /// Judges what must hold when all is over.
    pub(crate) fn end(&mut self, crashed: impl Fn(usize) -> bool) {
        let broken = self.wire.end(&crashed);
        self.take(broken);
        let broken = self.calls.end();
        self.take(broken);
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.violations.is_empty()
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(crate) fn outputs(&self) -> u64 {
        self.outputs
    }

    /// The last outputs, a line each.
    pub(crate) fn story(&self) -> String {
        let lines = self.last.iter().map(|(at, step, output)| {
            let ms = at.as_nanos() as f64 / 1e6;
            format!("  {ms:>11.3} ms  step {step:<6} {output}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn take(&mut self, broken: impl IntoIterator<Item = String>) {
        for what in broken {
            self.broken(what);
        }
    }

    fn hash_debug(&mut self, what: &impl fmt::Debug) {
        let _ = fmt::write(&mut Hashed(&mut self.digest), format_args!("{what:?}"));
    }

    fn show(&mut self, output: Output) {
        self.outputs += 1;
        while self.last.len() >= self.shown.max(1) {
            self.last.pop_front();
        }
        self.last.push_back((self.now, self.step, output));
    }
}

/// Text that is hashed instead of kept.
struct Hashed<'a>(&'a mut DefaultHasher);

impl fmt::Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(by, to, bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let first = text.lines().next().unwrap_or_default();
                let wanted = |line: &&str| {
                    ["Call-ID:", "CSeq:"]
                        .iter()
                        .any(|name| line.starts_with(name))
                };
                let rest: Vec<&str> = text.lines().filter(wanted).collect();
                match by {
                    Side::Server => write!(f, "server ─▶ {to}  ")?,
                    Side::Host(host) => write!(f, "host {host} ─▶ server  ")?,
                }
                write!(f, "{first}  {}", rest.join("  "))
            }
            Self::Event(event) => match event.call {
                Some(call) => write!(f, "event {call} {:?}", event.what),
                None => write!(f, "event {:?}", event.what),
            },
            Self::Cdr(cdr) => write!(f, "record {cdr:?}"),
            Self::Word(text) => f.write_str(text),
        }
    }
}
