//! A story as a pcapng file: SIP and sound with right IP, UDP and TCP headers, in nanoseconds.
//!
//! One section, one interface of raw IP packets. SIP over TCP is framed anew, with sequence numbers
//! that join; SIP under TLS is written as datagrams, since it is no TLS any more, and says so in its
//! comment. Every packet's comment names the call and the leg.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use clock::Now;
use sip::transport::Transport;

use super::story::{Entry, Packet, SipMessage, Story, Told};

/// The story as a file. `unix_nanos_at_zero` is the wall clock at [`Now::ZERO`].
pub fn file(story: &Story, unix_nanos_at_zero: u64) -> Vec<u8> {
    let mut writer = Writer {
        out: Vec::with_capacity(story.bytes + story.packet_bytes + 4_096),
        unix_nanos_at_zero,
        streams: HashMap::new(),
        packets: 0,
    };
    let name = story.name();
    writer.section(&name, story);
    writer.interface();
    let mut packets = story.packets.iter().peekable();
    for entry in &story.entries {
        while let Some(packet) = packets.next_if(|packet| packet.at < entry.at) {
            writer.sound(&name, packet);
        }
        if let Told::Message(message) = &entry.what {
            writer.message(&name, entry, message);
        }
    }
    for packet in packets {
        writer.sound(&name, packet);
    }
    writer.out
}

struct Writer {
    out: Vec<u8>,
    unix_nanos_at_zero: u64,
    /// Bytes sent so far in both directions of each TCP connection, ours first.
    streams: HashMap<SocketAddr, [u32; 2]>,
    packets: u16,
}

/// One IP packet's ends and what carries it.
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
}

impl Writer {
    fn section(&mut self, name: &str, story: &Story) {
        let sip: Vec<&str> = story.sip_call_ids().collect();
        let comment = format!("call {name}; SIP Call-IDs {}", sip.join(" "));
        let program = concat!("tandem ", env!("CARGO_PKG_VERSION"));
        self.block(0x0A0D_0D0A, |out| {
            out.extend(0x1A2B_3C4D_u32.to_le_bytes());
            out.extend(1_u16.to_le_bytes());
            out.extend(0_u16.to_le_bytes());
            // The section's length is not known beforehand.
            out.extend(u64::MAX.to_le_bytes());
            option(out, COMMENT, comment.as_bytes());
            option(out, USER_APPLICATION, program.as_bytes());
            option(out, END_OF_OPTIONS, &[]);
        });
    }

    fn interface(&mut self) {
        self.block(1, |out| {
            out.extend(LINKTYPE_RAW.to_le_bytes());
            out.extend([0; 2]);
            out.extend(SNAPLEN.to_le_bytes());
            option(out, INTERFACE_NAME, b"tandem");
            // Ten to the minus ninth.
            option(out, TIME_RESOLUTION, &[9]);
            option(out, END_OF_OPTIONS, &[]);
        });
    }

    fn message(&mut self, name: &str, entry: &Entry, message: &SipMessage) {
        let (from, to) = ordered(message.sent, message.local, message.remote);
        let ends = Ends { from, to };
        let leg = entry
            .leg
            .map(|leg| format!(", leg {}", leg.0))
            .unwrap_or_default();
        let secure = if message.transport.is_secure() {
            format!(", decrypted {}", message.transport)
        } else {
            String::new()
        };
        let comment = format!("{name}{leg}{secure}");
        if message.transport != Transport::Tcp {
            return self.datagram(message.at, &comment, &ends, &message.bytes, None);
        }
        for piece in message.bytes.chunks(SEGMENT_MAX) {
            let sent = self.streams.entry(message.remote).or_insert([1, 1]);
            let [ours, theirs] = *sent;
            let len = piece.len() as u32;
            let (sequence, acknowledged) = if message.sent {
                sent[0] = ours.wrapping_add(len);
                (ours, theirs)
            } else {
                sent[1] = theirs.wrapping_add(len);
                (theirs, ours)
            };
            self.segment(message.at, &comment, &ends, piece, [sequence, acknowledged]);
        }
    }

    fn sound(&mut self, name: &str, packet: &Packet) {
        let (from, to) = ordered(packet.sent, packet.local, packet.remote);
        let ends = Ends { from, to };
        let comment = format!("{name}, leg {}", packet.leg.0);
        self.datagram(packet.at, &comment, &ends, &packet.bytes, Some(packet.len));
    }

    /// A UDP datagram; `len` is its payload's length on the wire if more than what is kept.
    fn datagram(&mut self, at: Now, comment: &str, ends: &Ends, payload: &[u8], len: Option<u16>) {
        let payload = payload.get(..DATAGRAM_MAX).unwrap_or(payload);
        let whole = len.map_or(payload.len(), |len| usize::from(len).max(payload.len()));
        let length = (whole + 8).min(usize::from(u16::MAX)) as u16;
        let mut udp = Vec::with_capacity(8 + payload.len());
        udp.extend(ends.from.port().to_be_bytes());
        udp.extend(ends.to.port().to_be_bytes());
        udp.extend(length.to_be_bytes());
        udp.extend([0; 2]);
        udp.extend(payload);
        // The sum of a packet that was cut off is not known: zero says so.
        if whole == payload.len() {
            let sum = match transport_checksum(ends, UDP, &udp) {
                0 => 0xFFFF,
                sum => sum,
            };
            put(&mut udp, 6, sum);
        }
        self.packet(at, comment, ends, UDP, &udp, 8 + whole);
    }

    fn segment(
        &mut self,
        at: Now,
        comment: &str,
        ends: &Ends,
        payload: &[u8],
        [sequence, acknowledged]: [u32; 2],
    ) {
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(ends.from.port().to_be_bytes());
        tcp.extend(ends.to.port().to_be_bytes());
        tcp.extend(sequence.to_be_bytes());
        tcp.extend(acknowledged.to_be_bytes());
        // Five words of header; PSH and ACK.
        tcp.extend([5 << 4, 0x18]);
        tcp.extend(u16::MAX.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(payload);
        let sum = transport_checksum(ends, TCP, &tcp);
        put(&mut tcp, 16, sum);
        self.packet(at, comment, ends, TCP, &tcp, tcp.len());
    }

    /// An IP packet around `inner`, of which `whole` bytes were on the wire.
    fn packet(
        &mut self,
        at: Now,
        comment: &str,
        ends: &Ends,
        protocol: u8,
        inner: &[u8],
        whole: usize,
    ) {
        self.packets = self.packets.wrapping_add(1);
        let mut ip = ip_header(ends, protocol, whole, self.packets);
        let header = ip.len();
        ip.extend(inner);
        let nanos = self.unix_nanos_at_zero.saturating_add(at.as_nanos());
        self.block(6, |out| {
            out.extend([0; 4]);
            out.extend(((nanos >> 32) as u32).to_le_bytes());
            out.extend((nanos as u32).to_le_bytes());
            out.extend((ip.len() as u32).to_le_bytes());
            out.extend(((header + whole) as u32).to_le_bytes());
            padded(out, &ip);
            option(out, COMMENT, comment.as_bytes());
            option(out, END_OF_OPTIONS, &[]);
        });
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend(kind.to_le_bytes());
        self.out.extend([0; 4]);
        body(&mut self.out);
        let length = (self.out.len() - start + 4) as u32;
        if let Some(place) = self.out.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.out.extend(length.to_le_bytes());
    }
}

/// Source and target, both of the family that the peer's address has.
fn ordered(sent: bool, local: SocketAddr, remote: SocketAddr) -> (SocketAddr, SocketAddr) {
    let local = if local.is_ipv4() == remote.is_ipv4() {
        local
    } else {
        let nowhere = match remote.ip() {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(nowhere, local.port())
    };
    if sent {
        (local, remote)
    } else {
        (remote, local)
    }
}

/// RFC 791 §3.1, RFC 8200 §3.
fn ip_header(ends: &Ends, protocol: u8, payload: usize, id: u16) -> Vec<u8> {
    match (ends.from.ip(), ends.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = vec![0x45, 0];
            ip.extend(((payload + 20).min(0xFFFF) as u16).to_be_bytes());
            ip.extend(id.to_be_bytes());
            // Do not fragment; 64 hops.
            ip.extend([0x40, 0, 64, protocol, 0, 0]);
            ip.extend(from.octets());
            ip.extend(to.octets());
            let sum = fold(sum_of(&ip));
            put(&mut ip, 10, sum);
            ip
        }
        (from, to) => {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend((payload.min(0xFFFF) as u16).to_be_bytes());
            ip.extend([protocol, 64]);
            ip.extend(sixteen(from));
            ip.extend(sixteen(to));
            ip
        }
    }
}

/// The checksum over header, payload and pseudo-header (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1).
fn transport_checksum(ends: &Ends, protocol: u8, segment: &[u8]) -> u16 {
    let addresses = match (ends.from.ip(), ends.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum_of(&from.octets()) + sum_of(&to.octets()),
        (from, to) => sum_of(&sixteen(from)) + sum_of(&sixteen(to)),
    };
    fold(addresses + u64::from(protocol) + segment.len() as u64 + sum_of(segment))
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// 16-bit words in network order, an odd byte with a zero behind it (RFC 1071).
fn sum_of(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let whole: u64 = words
        .by_ref()
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let odd = words.remainder().first();
    whole + odd.map_or(0, |&byte| u64::from(byte) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..OPTION_MAX).unwrap_or(value);
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

/// To whole words of four bytes.
fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.extend(std::iter::repeat_n(0, bytes.len().wrapping_neg() % 4));
}

const COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const USER_APPLICATION: u16 = 4;
const TIME_RESOLUTION: u16 = 9;
const END_OF_OPTIONS: u16 = 0;

/// IPv4 and IPv6 packets without a link's header.
const LINKTYPE_RAW: u16 = 101;

const SNAPLEN: u32 = 65_535;

const UDP: u8 = 17;
const TCP: u8 = 6;

/// The payload of one TCP segment.
const SEGMENT_MAX: usize = 16_384;

/// The payload that an IPv4 datagram has room for.
const DATAGRAM_MAX: usize = 65_507;

/// An option's length must fit 16 bits with its padding.
const OPTION_MAX: usize = 4_096;
