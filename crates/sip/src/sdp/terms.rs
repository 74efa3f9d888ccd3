//! The terms of one audio stream: what we take and offer, and what an exchange agreed on.

use std::net::{IpAddr, SocketAddr};

use super::codec::{Codec, Direction};
use super::crypto::{Srtp, StreamKeys};
use super::modes::ModeSet;
use super::web::{WebLocal, WebRemote};

/// Our end of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where the other side is told to send: the advertised address, not always the bound one.
    pub address: IpAddr,
    /// The RTP port, even; RTCP is one above unless multiplexed.
    pub port: u16,
    /// The codecs that we take, best first.
    pub codecs: Vec<Codec>,
    /// The modes of AMR-WB that the other side of its relay is held to, if it is.
    pub modes: Option<ModeSet>,
    /// Whose order chooses among common codecs when we answer.
    pub order: CodecOrder,
    /// Whether RFC 4733 telephone-events are offered and accepted.
    pub dtmf: bool,
    /// Whether RFC 3389 comfort noise is offered and accepted.
    pub comfort_noise: bool,
    /// Whether packets that repeat those before them (RFC 2198) are offered and accepted.
    pub redundancy: bool,
    /// Whether our offers propose RTCP on the RTP port (RFC 5761). One proposed to us is always accepted.
    pub rtcp_mux: bool,
    /// The packet time that we send unless asked for another, in milliseconds.
    pub ptime_ms: u16,
    /// The longest packet that we send or ask for, in milliseconds.
    pub maxptime_ms: u16,
    /// Which way we want media to flow.
    pub direction: Direction,
    /// What may be done about SRTP, and what our keys are made of.
    pub srtp: Srtp,
    /// Our end of WebRTC's transport. With it the stream is over that and over nothing else, and `address`,
    /// `port` and `srtp` say nothing.
    pub web: Option<WebLocal>,
}

impl LocalMedia {
    /// A stream at this address with the usual telephony: both G.711 laws in the order given,
    /// telephone-events, comfort noise, 20 ms packets (60 ms at most), both ways.
    pub fn new(address: IpAddr, port: u16, codecs: Vec<Codec>) -> Self {
        Self {
            address,
            port,
            codecs,
            modes: None,
            order: CodecOrder::Ours,
            dtmf: true,
            comfort_noise: true,
            redundancy: false,
            rtcp_mux: false,
            ptime_ms: 20,
            maxptime_ms: 60,
            direction: Direction::SendRecv,
            srtp: Srtp::Off,
            web: None,
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

/// What a peer asks of the Opus that is sent to it (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusTerms {
    /// The most bits per second, if it has a bound.
    pub max_average_bitrate: Option<u32>,
    /// The highest rate that it plays, in samples per second.
    pub max_playback_rate: u32,
    /// Whether it makes use of in-band FEC.
    pub in_band_fec: bool,
    /// Whether silence may be sent as next to nothing.
    pub dtx: bool,
    /// Whether every packet should have the same size.
    pub cbr: bool,
}

impl Default for OpusTerms {
    /// What a peer asks for by saying nothing.
    fn default() -> Self {
        Self {
            max_average_bitrate: None,
            max_playback_rate: 48_000,
            in_band_fec: false,
            dtx: false,
            cbr: false,
        }
    }
}

impl OpusTerms {
    /// Reads the parameters of an `a=fmtp`; what cannot be read counts as not said.
    pub(super) fn read(parameters: &str) -> Self {
        let mut terms = Self::default();
        for parameter in parameters.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value: Option<u32> = value.trim().parse().ok();
            let on = value == Some(1);
            match name.trim().to_ascii_lowercase().as_str() {
                "maxaveragebitrate" => terms.max_average_bitrate = value,
                "maxplaybackrate" => {
                    terms.max_playback_rate = value.unwrap_or(terms.max_playback_rate);
                }
                "useinbandfec" => terms.in_band_fec = on,
                "usedtx" => terms.dtx = on,
                "cbr" => terms.cbr = on,
                _ => {}
            }
        }
        terms
    }
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
    /// What they ask of Opus, if that is the codec.
    pub opus: OpusTerms,
    /// The modes of AMR-WB that both are held to, if that is the codec.
    pub modes: Option<ModeSet>,
    /// The payload type to send telephone-events with.
    pub dtmf_payload_type: Option<u8>,
    /// The clock of telephone-events' durations: the codec's, or 8,000 beside Opus.
    pub dtmf_clock_rate_hz: u32,
    /// The payload type that their telephone-events come with: as we described it to them.
    pub dtmf_receive_type: Option<u8>,
    /// The payload type of comfort noise, if both take it.
    pub cn: Option<u8>,
    /// The payload type of packets that repeat those before them, if both take it.
    pub redundant: Option<u8>,
    /// Whether we may send.
    pub send: bool,
    /// Whether they may send, so that we listen.
    pub receive: bool,
    /// The packet time to send with, in milliseconds: a multiple of ours.
    pub ptime_ms: u16,
    /// Whether they put us on hold.
    pub peer_holds: bool,
    /// The keys that signalling told; `None` for sound in clear, and where a handshake makes them.
    pub keys: Option<StreamKeys>,
    /// Their end of WebRTC's transport. Then the addresses above mean nothing: theirs are proven.
    pub web: Option<WebRemote>,
}
