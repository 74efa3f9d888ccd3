//! Laws of an outgoing stream (RFC 3550 §5.1): sequence numbers step by one, timestamps by the
//! samples sent, and no burst leaves.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clock::Now;
use media::rtp::{Header, Packet};

#[derive(Debug)]
struct Stream {
    last: Header,
    /// The timestamp of the last audio packet.
    audio: Option<Header>,
    tick: u64,
    in_tick: u32,
}

/// The streams of the server's ports, by address and SSRC.
#[derive(Debug)]
pub(super) struct Streams {
    strict: bool,
    streams: BTreeMap<(SocketAddr, u32), Stream>,
}

/// Dynamic payload types: telephone-events here, with a clock of their own.
const DYNAMIC: u8 = 96;

impl Streams {
    /// What is relayed repeats the losses and bursts of its path: only on clean paths is all `strict`.
    pub(super) fn new(strict: bool) -> Self {
        Self {
            strict,
            streams: BTreeMap::new(),
        }
    }

    pub(super) fn sent(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) -> Option<String> {
        if from.port() & 1 == 1 {
            return None;
        }
        let Ok(packet) = Packet::parse(bytes) else {
            return Some(format!("{from} sent {} bytes that are no RTP", bytes.len()));
        };
        let header = packet.header();
        let tick = now.as_nanos() / TICK_NANOS;
        let audio = (header.payload_type < DYNAMIC).then_some(header);
        let key = (from, header.ssrc);
        let Some(stream) = self.streams.get_mut(&key) else {
            let stream = Stream {
                last: header,
                audio,
                tick,
                in_tick: 1,
            };
            self.streams.insert(key, stream);
            return None;
        };
        let last = std::mem::replace(&mut stream.last, header);
        stream.in_tick = if stream.tick == tick {
            stream.in_tick + 1
        } else {
            1
        };
        stream.tick = tick;
        let before = match audio {
            Some(_) => std::mem::replace(&mut stream.audio, audio),
            None => None,
        };
        if !self.strict {
            return None;
        }
        let step = header.sequence.ahead_of(last.sequence);
        if step != 1 {
            return Some(format!(
                "{from}: sequence stepped by {step}: {last:?}, {header:?}"
            ));
        }
        if stream.in_tick > BURST {
            return Some(format!(
                "{from} sent {} packets in one tick",
                stream.in_tick
            ));
        }
        let gone = before.map(|before| header.time.ahead_of(before.time));
        let even = gone.is_none_or(|gone| {
            let samples = i64::from(gone);
            // A pause, or a key that was sent instead, takes whole frames of the clock.
            samples > 0 && samples % 160 == 0
        });
        (!even).then(|| format!("{from}: timestamp stepped by {gone:?}: {before:?}, {header:?}"))
    }
}

const TICK_NANOS: u64 = 5_000_000;

/// Packets of one stream in one tick.
const BURST: u32 = 2;
