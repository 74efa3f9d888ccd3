//! The terms of one audio stream: what we take and offer, and what an exchange agreed on.

use std::net::{IpAddr, SocketAddr};

use super::codec::{Codec, Direction};

/// Our end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where the other side is told to send: the advertised address, not always the bound one.
    pub address: IpAddr,
    /// The RTP port, even; RTCP is one above unless multiplexed.
    pub port: u16,
    /// The codecs that we take, best first.
    pub codecs: Vec<Codec>,
    /// Whose order chooses among common codecs when we answer.
    pub order: CodecOrder,
    /// Whether RFC 4733 telephone-events are offered and accepted.
    pub dtmf: bool,
    /// Whether RFC 3389 comfort noise is offered and accepted.
    pub comfort_noise: bool,
    /// Whether our offers propose RTCP on the RTP port (RFC 5761). One proposed to us is always accepted.
    pub rtcp_mux: bool,
    /// The packet time that we send unless asked for another, in milliseconds.
    pub ptime_ms: u16,
    /// The longest packet that we send or ask for, in milliseconds.
    pub maxptime_ms: u16,
    /// Which way we want media to flow.
    pub direction: Direction,
}

impl LocalMedia {
    /// A stream at this address with the usual telephony: both G.711 laws in the order given,
    /// telephone-events, comfort noise, 20 ms packets (60 ms at most), both ways.
    pub fn new(address: IpAddr, port: u16, codecs: Vec<Codec>) -> Self {
        Self {
            address,
            port,
            codecs,
            order: CodecOrder::Ours,
            dtmf: true,
            comfort_noise: true,
            rtcp_mux: false,
            ptime_ms: 20,
            maxptime_ms: 60,
            direction: Direction::SendRecv,
        }
    }
}

/// Whose preference decides when an offer has several codecs that we take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CodecOrder {
    /// The first of ours that they offer.
    #[default]
    Ours,
    /// The first of theirs that we take.
    Offerer,
}

/// What both sides agreed on; the plan of a media port follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where RTP goes. The address is 0.0.0.0 or `::` under the hold of RFC 2543; `send` is false then.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Whether RTCP shares the RTP port, both ways.
    pub rtcp_mux: bool,
    /// What is sent and expected.
    pub codec: Codec,
    /// The payload type to send it with.
    pub payload_type: u8,
    /// The payload type to send telephone-events with.
    pub dtmf_payload_type: Option<u8>,
    /// The payload type that their telephone-events come with: as we described it to them.
    pub dtmf_receive_type: Option<u8>,
    /// The payload type of comfort noise, if both take it.
    pub cn: Option<u8>,
    /// Whether we may send.
    pub send: bool,
    /// Whether they may send, so that we listen.
    pub receive: bool,
    /// The packet time to send with, in milliseconds: a multiple of ours.
    pub ptime_ms: u16,
    /// Whether they put us on hold.
    pub peer_holds: bool,
}
