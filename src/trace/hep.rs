//! HEP3: messages and reports for a Homer, one datagram each (the HEP3 network protocol, revision 36).
//!
//! Both legs of a call carry our call id as correlation id, so that they stand together.

use std::net::{IpAddr, SocketAddr};

use clock::Now;
use media::rtp::rtcp::{Compound, ReportBlock, RtcpPacket};
use sip::transport::Transport;

use super::config::HepConfig;
use super::story::{Packet, SipMessage};

/// A SIP message as a datagram. `unix_nanos_at_zero` is the wall clock at [`Now::ZERO`].
pub fn sip(
    config: &HepConfig,
    unix_nanos_at_zero: u64,
    message: &SipMessage,
    correlation: &str,
) -> Vec<u8> {
    let protocol = match message.transport {
        Transport::Udp => UDP,
        _ => TCP,
    };
    let head = Head {
        at: message.at,
        protocol,
        sent: message.sent,
        local: message.local,
        remote: message.remote,
        kind: SIP,
    };
    datagram(
        config,
        unix_nanos_at_zero,
        &head,
        &message.bytes,
        correlation,
    )
}

/// A report of sound as a datagram, in the JSON that Homer shows; `None` for what is none.
pub fn report(
    config: &HepConfig,
    unix_nanos_at_zero: u64,
    packet: &Packet,
    correlation: &str,
) -> Option<Vec<u8>> {
    let head = Head {
        at: packet.at,
        protocol: UDP,
        sent: packet.sent,
        local: packet.local,
        remote: packet.remote,
        kind: RTCP_JSON,
    };
    let json = report_json(&packet.bytes)?;
    let json = json.as_bytes();
    Some(datagram(
        config,
        unix_nanos_at_zero,
        &head,
        json,
        correlation,
    ))
}

/// What stands before a payload.
struct Head {
    at: Now,
    protocol: u8,
    sent: bool,
    local: SocketAddr,
    remote: SocketAddr,
    kind: u8,
}

fn datagram(
    config: &HepConfig,
    unix_nanos_at_zero: u64,
    head: &Head,
    payload: &[u8],
    correlation: &str,
) -> Vec<u8> {
    let mut out = b"HEP3\0\0".to_vec();
    let (from, to) = if head.sent {
        (head.local, head.remote)
    } else {
        (head.remote, head.local)
    };
    let nanos = unix_nanos_at_zero.saturating_add(head.at.as_nanos());
    let v4 = from.is_ipv4() && to.is_ipv4();
    chunk(&mut out, 0x01, &[if v4 { 2 } else { 10 }]);
    chunk(&mut out, 0x02, &[head.protocol]);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(&mut out, 0x03, &from.octets());
            chunk(&mut out, 0x04, &to.octets());
        }
        (from, to) => {
            chunk(&mut out, 0x05, &sixteen(from));
            chunk(&mut out, 0x06, &sixteen(to));
        }
    }
    chunk(&mut out, 0x07, &from.port().to_be_bytes());
    chunk(&mut out, 0x08, &to.port().to_be_bytes());
    let seconds = u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX);
    let micros = (nanos / 1_000 % 1_000_000) as u32;
    chunk(&mut out, 0x09, &seconds.to_be_bytes());
    chunk(&mut out, 0x0A, &micros.to_be_bytes());
    chunk(&mut out, 0x0B, &[head.kind]);
    chunk(&mut out, 0x0C, &config.capture_id.to_be_bytes());
    if let Some(password) = &config.password {
        chunk(&mut out, 0x0E, password.reveal().as_bytes());
    }
    chunk(&mut out, 0x11, correlation.as_bytes());
    let room = DATAGRAM_MAX.saturating_sub(out.len() + 6);
    chunk(&mut out, 0x0F, payload.get(..room).unwrap_or(payload));
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(4..6) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    out
}

/// Vendor 0, a type, its own length, the value.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend([0, 0]);
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16 + 6).to_be_bytes());
    out.extend(value);
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The first report of a compound packet. Numbers alone: nothing in it needs escaping.
fn report_json(bytes: &[u8]) -> Option<String> {
    let compound = Compound::parse(bytes).ok()?;
    compound.packets().find_map(|packet| match packet {
        RtcpPacket::SenderReport {
            ssrc,
            sender,
            blocks,
        } => {
            let ntp = sender.ntp.0;
            let micros = ((ntp & 0xFFFF_FFFF) * 1_000_000) >> 32;
            let said = format!(
                "\"sender_information\":{{\"ntp_timestamp_sec\":{},\"ntp_timestamp_usec\":{micros},\
                 \"rtp_timestamp\":{},\"packets\":{},\"octets\":{}}},",
                ntp >> 32,
                sender.rtp.0,
                sender.packets,
                sender.octets
            );
            Some(json(200, ssrc, &said, blocks.iter()))
        }
        RtcpPacket::ReceiverReport { ssrc, blocks } => Some(json(201, ssrc, "", blocks.iter())),
        _ => None,
    })
}

fn json(kind: u8, ssrc: u32, sender: &str, blocks: impl Iterator<Item = ReportBlock>) -> String {
    let block = |block: ReportBlock| {
        format!(
            "{{\"source_ssrc\":{},\"highest_seq_no\":{},\"fraction_lost\":{},\"ia_jitter\":{},\
             \"packets_lost\":{},\"lsr\":{},\"dlsr\":{}}}",
            block.ssrc,
            block.highest_sequence,
            block.fraction_lost,
            block.jitter,
            block.lost,
            block.last_sr,
            block.delay_since_last_sr
        )
    };
    let blocks: Vec<String> = blocks.map(block).collect();
    format!(
        "{{{sender}\"ssrc\":{ssrc},\"type\":{kind},\"report_count\":{},\"report_blocks\":[{}]}}",
        blocks.len(),
        blocks.join(",")
    )
}

const UDP: u8 = 17;
const TCP: u8 = 6;
const SIP: u8 = 1;
const RTCP_JSON: u8 = 5;

/// What one datagram carries over IPv4.
const DATAGRAM_MAX: usize = 65_507;
