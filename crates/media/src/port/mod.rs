//! A port: one leg's media end on a worker.
//!
//! This module holds what a port is told ([`PortPlan`], [`PortUpdate`], [`Playback`]) and what it
//! tells ([`PortStats`]); the machinery is in its children: who may speak to it, the one stream
//! it sends, what is played into it, and the digits it dials.

use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::codec::{Codec, Coding};
use crate::jitter::{JitterBuffer, JitterConfig};
use crate::quality::{Rating, SoundFigures};

pub(crate) mod background;
pub(crate) mod dial;
mod lane;
pub(crate) mod latch;
pub(crate) mod out;
pub(crate) mod play;
mod security;

pub use lane::Lane;
pub use latch::Latch;
pub use play::{PlayId, Playback};
pub use security::{Keys, Security};

/// Names a port; chosen by control, unique per worker while the port is open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(pub u32);

/// Where the peer takes media: the addresses its SDP named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Where RTP goes.
    pub rtp: SocketAddr,
    /// Where RTCP goes (RFC 3605); the RTP address when the session is multiplexed.
    pub rtcp: SocketAddr,
}

impl Remote {
    /// The usual pair: RTCP at the next higher port (RFC 3550 §11), or the same when `mux`.
    pub fn of(rtp: SocketAddr, mux: bool) -> Self {
        let mut rtcp = rtp;
        if !mux {
            rtcp.set_port(rtp.port().saturating_add(1));
        }
        Self { rtp, rtcp }
    }
}

/// Everything a port needs to open. Built by control, travels boxed, comes back as garbage.
#[derive(Debug)]
pub struct PortPlan {
    /// The name the port will answer to.
    pub port: PortId,
    /// The address its RTP socket is bound to.
    pub local: SocketAddr,
    /// The peer's addresses; `None` until an answer tells them: then nothing is sent or taken.
    pub remote: Option<Remote>,
    /// The codec of both directions.
    pub codec: Codec,
    /// What decodes and encodes it.
    pub coding: Coding,
    /// Where what the peer says waits to be heard. Its memory is the port's for as long as that is open, and
    /// touched when somebody listens; the worker says how it buffers.
    pub playout: JitterBuffer,
    /// The RTP payload type of `codec`, both ways.
    pub payload_type: u8,
    /// The payload type of telephone-event (RFC 4733), if agreed.
    pub dtmf_payload_type: Option<u8>,
    /// Ticks per second of its durations: the codec's, or 8,000 beside one that counts otherwise.
    pub dtmf_clock_rate: u32,
    /// Whether the peer's keys go by signalling: none is sent to it here.
    pub keys_elsewhere: bool,
    /// The payload type of comfort noise (RFC 3389), if agreed.
    pub cn_payload_type: Option<u8>,
    /// Whether we may send (`sendrecv` or `sendonly` of our side).
    pub send: bool,
    /// Whether we take what comes.
    pub receive: bool,
    /// Whether RTCP shares the RTP socket (RFC 5761).
    pub rtcp_mux: bool,
    /// How packets are guarded on the wire.
    pub security: Security,
    /// Who may speak to this port.
    pub latch: Latch,
    /// Whether tones in the audio are looked for.
    pub inband_dtmf: bool,
    /// The synchronisation source of all we send; random.
    pub ssrc: u32,
    /// The packet time agreed, in ms. Ports of different packet times are not relayed.
    pub ptime_ms: u16,
    /// The sequence number of the first packet; random (RFC 3550 §5.1).
    pub first_sequence: u16,
    /// The timestamp of the first packet; random (RFC 3550 §5.1).
    pub first_timestamp: u32,
}

impl PortPlan {
    /// A plan with the codec's static payload type, 20 ms, both directions, no DTMF and no peer yet.
    ///
    /// `random` gives SSRC, first sequence number and first timestamp: draw it afresh per port.
    pub fn new(port: PortId, local: SocketAddr, codec: Codec, random: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = random.to_be_bytes();
        Self {
            port,
            local,
            remote: None,
            codec,
            coding: Coding::new(codec),
            playout: JitterBuffer::new(JitterConfig::default(), codec),
            payload_type: codec.static_payload_type().unwrap_or(FIRST_DYNAMIC),
            dtmf_payload_type: None,
            dtmf_clock_rate: codec.clock_rate(),
            keys_elsewhere: false,
            cn_payload_type: None,
            send: true,
            receive: true,
            rtcp_mux: false,
            security: Security::Plain,
            latch: Latch::SdpAddressThenLock,
            inband_dtmf: false,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            ptime_ms: 20,
            // In the lower half: whoever misses the first packets still guesses the right rollover
            // counter (RFC 3711 §3.3.1).
            first_sequence: u16::from_be_bytes([e, f]) & 0x7FFF,
            // Mixed so that the timestamp is not the sequence number's neighbour.
            first_timestamp: u32::from_be_bytes([g, h, e ^ a, f ^ d]),
        }
    }
}

/// The first payload type that SDP may give any meaning (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;

/// What a re-offer changed. Fields that stay are given again: an update states, it does not patch.
#[derive(Debug)]
pub struct PortUpdate {
    /// The port it is for.
    pub port: PortId,
    /// The peer's addresses. When they differ from before, the port latches anew.
    pub remote: Option<Remote>,
    /// The codec of both directions.
    pub codec: Codec,
    /// What decodes and encodes it; not taken when the port has the like already.
    pub coding: Coding,
    /// The RTP payload type of `codec`.
    pub payload_type: u8,
    /// The payload type of telephone-event, if agreed.
    pub dtmf_payload_type: Option<u8>,
    /// Ticks per second of its durations.
    pub dtmf_clock_rate: u32,
    /// Whether the peer's keys go by signalling: none is sent to it here.
    pub keys_elsewhere: bool,
    /// The payload type of comfort noise, if agreed.
    pub cn_payload_type: Option<u8>,
    /// Whether we may send.
    pub send: bool,
    /// Whether we take what comes.
    pub receive: bool,
    /// Whether RTCP shares the RTP socket.
    pub rtcp_mux: bool,
    /// How packets are guarded on the wire: a key that stays keeps its counters.
    pub security: Security,
    /// The packet time agreed, in ms.
    pub ptime_ms: u16,
}

/// A port's counters since it opened. Plain integers, written by one thread, sent up by value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortStats {
    /// RTP packets taken from the peer.
    pub received: u64,
    /// Payload bytes of those.
    pub received_bytes: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Payload bytes of those.
    pub sent_bytes: u64,
    /// When the first of them was sent.
    pub first_sent: Option<Now>,
    /// Of `sent`, those that were relayed without being decoded.
    pub relayed: u64,
    /// Packets from an address that may not speak to this port; never answered. Of a port that has
    /// locked, the system may keep them away before they are counted.
    pub foreign: u32,
    /// Packets that are no RTP or RTCP.
    pub malformed: u32,
    /// Packets of a secured port whose tag is wrong: forged, of another key, or in clear.
    pub unauthentic: u32,
    /// Authentic packets that came before, or too late to know.
    pub replayed: u32,
    /// Packets that came before there was a key to open them with.
    pub keyless: u32,
    /// Packets that could not be protected and were not sent: of an index used before, or without a key.
    pub unsent: u32,
    /// Packets of a payload type nobody agreed to.
    pub unknown_payload: u32,
    /// Packets that came while we do not receive.
    pub not_receiving: u32,
    /// Packets the jitter buffer refused: late, duplicate or beyond its window.
    pub discarded: u32,
    /// Of those, packets that came too late to be heard.
    pub late: u32,
    /// Packets that never came and were made good by others: FEC, or redundancy (RFC 2198).
    pub recovered: u32,
    /// Frames of 20 ms played of a port that is decoded: the peer's sound, or invented.
    pub frames: u32,
    /// Of those, the ones that had to be invented.
    pub concealed: u32,
    /// How long a packet waits in the playout buffer, at present; zero of a port that is relayed.
    pub delay: Duration,
    /// Packets that the peer should have sent until now (RFC 3550 A.3).
    pub expected: u64,
    /// Packets the peer sent and we never saw (RFC 3550 A.3); negative when duplicates exceed them.
    pub lost: i64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter: Duration,
    /// The largest interarrival jitter so far.
    pub jitter_max: Duration,
    /// What the peer's last report said it lost of ours, in all.
    pub peer_lost: i32,
    /// What the peer's last report said of our jitter, in timestamp units.
    pub peer_jitter: u32,
    /// Round-trip time from the peer's last report, if it allowed one.
    pub round_trip: Option<Duration>,
    /// RTCP packets taken from the peer.
    pub rtcp_received: u32,
    /// Frames a tap's ring had no room for.
    pub tap_dropped: u32,
    /// Frames that were not back from a voice thread in time, and were heard as they were.
    pub detour_missed: u32,
    /// How what comes from the peer is rated, over the whole time.
    pub rating: Option<Rating>,
    /// The worst of the ratings between two reports.
    pub rating_worst: Option<Rating>,
    /// How what we send is rated by the peer's reports.
    pub peer_rating: Option<Rating>,
    /// What the peer's samples were like, where they were looked at.
    pub sound: SoundFigures,
    /// How often the peer fell silent for longer than it may (no packets).
    pub silences: u32,
    /// For how long at most.
    pub silence_longest: Duration,
}
