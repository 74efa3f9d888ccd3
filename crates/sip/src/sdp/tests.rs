//! Tables for the parser and for the offer/answer machine; RFC examples as data.

mod examples;
mod negotiating;
mod parsing;
mod reoffering;
mod repeating;
mod securing;
mod web;

use std::net::{IpAddr, Ipv4Addr};

use super::{Agreed, Codec, Direction, LocalMedia, Negotiation};

/// Our leg in every table: PCMA before PCMU at 192.0.2.10:20000.
fn leg() -> Negotiation {
    Negotiation::new(local(), 0x1234_5678)
}

fn local() -> LocalMedia {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
    LocalMedia::new(address, 20_000, vec![Codec::Pcma, Codec::Pcmu])
}

/// A description of theirs with these lines after the session level.
fn theirs(lines: &str) -> Vec<u8> {
    let head = "v=0|o=peer 7 1 IN IP4 198.51.100.5|s=-|c=IN IP4 198.51.100.5|t=0 0|";
    format!("{head}{lines}|").replace('|', "\r\n").into_bytes()
}

/// An agreement in one line: codec/number, extras, where to, which way.
fn summary(agreed: &Agreed) -> String {
    let mut text = format!("{}/{}", agreed.codec, agreed.payload_type);
    let mut extra = |name: &str, number: Option<u8>| {
        if let Some(number) = number {
            text.push_str(&format!(" {name} {number}"));
        }
    };
    extra("dtmf", agreed.dtmf_payload_type);
    extra("cn", agreed.cn);
    let way = Direction::from_halves(agreed.send, agreed.receive);
    let mux = if agreed.rtcp_mux { " mux" } else { "" };
    let rtcp = if agreed.remote_rtcp.ip() == agreed.remote_rtp.ip() {
        agreed.remote_rtcp.port().to_string()
    } else {
        agreed.remote_rtcp.to_string()
    };
    let held = if agreed.peer_holds { " held" } else { "" };
    format!(
        "{text} to {} {rtcp}{mux} {way}{held} {}ms",
        agreed.remote_rtp, agreed.ptime_ms
    )
}

/// The first line of `sdp` that starts so.
fn line<'a>(sdp: &'a [u8], start: &str) -> &'a str {
    let text = std::str::from_utf8(sdp).unwrap();
    text.lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_default()
}

/// The `m=` lines of `sdp`.
fn media_lines(sdp: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(sdp).unwrap();
    text.lines().filter(|line| line.starts_with("m=")).collect()
}

/// The version of `o=`.
fn version(sdp: &[u8]) -> u64 {
    let origin = line(sdp, "o=");
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}
