//! A message looked at without being read: enough to put it in order, and to refuse it for little.
//!
//! A server that is behind must not parse what it will not serve. A glance finds the method, whether
//! To has a tag and whom the Request-URI names; a refusal is written from the lines as they came
//! (RFC 3261 §8.2.6, §8.2.7) without a transaction. A glance may be wrong about a message that a
//! parser would refuse; nothing but its place in a queue follows from that.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;

use super::build::{Lines, stamp};
use super::{Method, Name, Via};

/// What one look at a message shows.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    bytes: &'a [u8],
    method: Option<Method>,
    uri: &'a str,
    to_tag: Option<&'a str>,
    call_id: &'a str,
    via: &'a str,
}

/// A refusal as a response line and what goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Rebuff<'a> {
    /// The status, 300 to 699.
    pub status: u16,
    /// Its phrase.
    pub reason: &'a str,
    /// Our tag, the same for the same call.
    pub tag: &'a str,
    /// Seconds after which to come again.
    pub retry_after_secs: u32,
    /// Where the request really came from.
    pub source: SocketAddr,
    /// What the topmost Via tells of our load (RFC 7339 §4), where the sender offered to heed it.
    pub oc: Option<&'a str>,
}

impl<'a> Glance<'a> {
    /// Looks at a message; `None` if it is none, or has not the lines that every message has.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut lines = Lines::of(bytes);
        let first = str::from_utf8(lines.next()?).ok()?;
        let mut words = first.split(' ');
        let word = words.next()?;
        let is_response = word
            .get(..4)
            .is_some_and(|it| it.eq_ignore_ascii_case("SIP/"));
        let mut glance = Self {
            bytes,
            method: (!is_response).then(|| Method::from_text(word)),
            uri: words.next()?,
            to_tag: None,
            call_id: "",
            via: "",
        };
        let (mut has_to, mut left) = (false, super::limits::HEADERS_MAX);
        while !has_to || glance.via.is_empty() || glance.call_id.is_empty() {
            left = left.checked_sub(1)?;
            let (name, value) = split(lines.next()?)?;
            match name {
                Name::Via if glance.via.is_empty() => glance.via = str::from_utf8(value).ok()?,
                Name::To => {
                    has_to = true;
                    glance.to_tag = tag_of(str::from_utf8(value).ok()?);
                }
                Name::CallId => glance.call_id = str::from_utf8(value).ok()?,
                _ => {}
            }
        }
        Some(glance)
    }

    /// The method, `None` of a response.
    pub const fn method(&self) -> Option<Method> {
        self.method
    }

    /// The tag of To.
    pub const fn to_tag(&self) -> Option<&'a str> {
        self.to_tag
    }

    /// The Call-ID.
    pub const fn call_id(&self) -> &'a str {
        self.call_id
    }

    /// The method that CSeq names, empty if there is none.
    pub fn cseq_method(&self) -> &'a str {
        let mut lines = Lines::of(self.bytes)
            .skip(1)
            .take(super::limits::HEADERS_MAX);
        let cseq = lines.find_map(|line| split(line).filter(|(name, _)| *name == Name::CSeq));
        let value = cseq.and_then(|(_, value)| str::from_utf8(value).ok());
        let word = value.and_then(|value| value.rsplit([' ', '\t']).next());
        word.unwrap_or_default()
    }

    /// Whether it begins something: a request without a To tag that is no ACK and no CANCEL.
    pub const fn opens(&self) -> bool {
        self.to_tag.is_none() && !matches!(self.method, None | Some(Method::Ack | Method::Cancel))
    }

    /// The Request-URI of a request, as it is written.
    pub const fn uri(&self) -> &'a str {
        self.uri
    }

    /// Whether there is a header of this name.
    pub fn has(&self, name: Name) -> bool {
        let mut lines = Lines::of(self.bytes)
            .skip(1)
            .take(super::limits::HEADERS_MAX);
        lines.any(|line| split(line).is_some_and(|(found, _)| found == name))
    }

    /// The topmost Via, if it can be read.
    pub fn via(&self) -> Option<Via<'a>> {
        let first = super::scan::split_values(self.via).next()?.1;
        Via::parse(first).ok()
    }

    /// Writes a stateless refusal; `None` for what must not be answered or cannot be.
    pub fn refuse(&self, rebuff: &Rebuff<'_>) -> Option<Bytes> {
        if matches!(self.method, None | Some(Method::Ack)) {
            return None;
        }
        let mut out = Vec::with_capacity(512);
        // Writing to a vector cannot fail.
        let _ = write!(out, "SIP/2.0 {} {}\r\n", rebuff.status, rebuff.reason);
        let mut copied = [0_u8; 5];
        for line in Lines::of(self.bytes)
            .skip(1)
            .take(super::limits::HEADERS_MAX)
        {
            let Some((name, value)) = split(line) else {
                continue;
            };
            let Some(place) = name.copied_place() else {
                continue;
            };
            let seen = copied.get_mut(place)?;
            let is_first = *seen == 0;
            *seen = 1;
            match name {
                Name::Via if is_first => top_via(&mut out, value, rebuff)?,
                Name::Via => out.extend_from_slice(line),
                _ if !is_first => continue,
                _ => out.extend_from_slice(line),
            }
            if name == Name::To && self.to_tag.is_none() {
                let _ = write!(out, ";tag={}", rebuff.tag);
            }
            out.extend_from_slice(b"\r\n");
        }
        if copied.contains(&0) {
            return None;
        }
        let seconds = rebuff.retry_after_secs;
        let _ = write!(out, "Retry-After: {seconds}\r\nContent-Length: 0\r\n\r\n");
        Some(out.into())
    }
}

/// The first Via line with what its first value is told.
fn top_via(out: &mut Vec<u8>, value: &[u8], rebuff: &Rebuff<'_>) -> Option<()> {
    let value = str::from_utf8(value).ok()?;
    let (_, first) = super::scan::split_values(value).next()?;
    let via = Via::parse(first).ok()?;
    let oc = rebuff.oc.filter(|_| via.offers_oc());
    let stamped = stamp(first, &via, rebuff.source, oc);
    out.extend_from_slice(b"Via: ");
    out.extend_from_slice(stamped.as_deref().unwrap_or(first).as_bytes());
    let begins = first.as_ptr().addr().checked_sub(value.as_ptr().addr())?;
    out.extend_from_slice(value.get(begins + first.len()..)?.as_bytes());
    Some(())
}

/// A line's name and its value without blanks around it.
fn split(line: &[u8]) -> Option<(Name, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((
        Name::from_bytes(name.trim_ascii_end()),
        value.get(1..)?.trim_ascii(),
    ))
}

/// The tag among the parameters behind an address.
fn tag_of(value: &str) -> Option<&str> {
    let params = value.rsplit_once('>').map_or(value, |(_, params)| params);
    params.split(';').skip(1).find_map(|param| {
        let (name, tag) = param.split_once('=')?;
        let is_tag = name.trim_ascii().eq_ignore_ascii_case("tag");
        is_tag.then(|| tag.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn invite(more: &str, to: &str) -> Vec<u8> {
        format!(
            "INVITE sip:+4412;npdi@10.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.2:5062;branch=z9hG4bKone;rport{more}, SIP/2.0/TCP far;branch=z9hG4bKf\r\n\
             v: SIP/2.0/UDP farther;branch=z9hG4bKg\r\n\
             f: \"a;tag=b\" <sip:a@b>;tag=1\r\n{to}\r\ni: call-1\r\nCSeq: 7 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    const SOURCE: &str = "192.0.2.7:9999";

    fn rebuff(oc: Option<&str>) -> Rebuff<'_> {
        Rebuff {
            status: 503,
            reason: "Service Unavailable",
            tag: "ours",
            retry_after_secs: 7,
            source: SOURCE.parse().unwrap(),
            oc,
        }
    }

    #[test]
    fn a_glance_tells_what_begins_something_from_what_goes_on() {
        let cases = [
            ("To: <sip:x@y>", None, true),
            ("To: <sip:x@y;tag=no>", None, true),
            ("t:<sip:x@y>;tag=a1", Some("a1"), false),
            (
                "to : \"x;tag=no\" <sip:x@y>;q=1; TAG = a1",
                Some("a1"),
                false,
            ),
            ("To: sip:x@y;tag=a1", Some("a1"), false),
        ];
        for (to, tag, opens) in cases {
            let bytes = invite("", to);
            let glance = Glance::of(&bytes).unwrap();
            assert_eq!((glance.to_tag(), glance.opens()), (tag, opens), "{to}");
            assert_eq!(glance.uri(), "sip:+4412;npdi@10.0.0.1");
            assert_eq!(glance.call_id(), "call-1");
        }
        let ack = String::from_utf8(invite("", "To: <sip:x@y>")).unwrap();
        let ack = ack.replace("INVITE", "ACK").into_bytes();
        assert!(!Glance::of(&ack).unwrap().opens());
        assert!(Glance::of(&ack).unwrap().refuse(&rebuff(None)).is_none());
    }

    // covers: RFC 3261 §8.2.7
    #[test]
    fn a_refusal_without_reading_says_what_the_builder_would() {
        let bytes = invite("", "To: <sip:x@y>");
        let refusal = Glance::of(&bytes).unwrap().refuse(&rebuff(None)).unwrap();
        let message = Message::parse(refusal).unwrap();
        assert_eq!(message.status(), Some(503));
        let via = message.via().unwrap();
        assert_eq!(via.received(), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(via.rport(), Some(Some(9999)));
        assert_eq!(message.values(Name::Via).count(), 3);
        assert_eq!(message.to().unwrap().tag(), Some("ours"));
        assert_eq!(message.header(Name::RetryAfter), Some("7"));
        assert_eq!(message.cseq().unwrap().number, 7);
    }

    // covers: RFC 7339 §4.1
    #[test]
    fn the_load_is_told_in_the_via_of_who_offered_to_heed_it() {
        let told = "oc=40;oc-algo=\"loss\";oc-validity=500;oc-seq=1.5";
        for (more, expected) in [(";oc;oc-algo=\"loss,A\"", Some("40")), ("", None)] {
            let bytes = invite(more, "To: <sip:x@y>");
            let refusal = Glance::of(&bytes)
                .unwrap()
                .refuse(&rebuff(Some(told)))
                .unwrap();
            let message = Message::parse(refusal).unwrap();
            let via = message.via().unwrap();
            assert_eq!(via.params.get("oc"), expected, "{more}");
            assert_eq!(via.params.get("oc-algo"), expected.map(|_| "loss"));
        }
    }

    #[test]
    fn rubbish_is_no_message_and_never_a_panic() {
        let whole = invite("", "To: <sip:x@y>");
        for end in 0..whole.len() {
            if let Some(glance) = Glance::of(&whole[..end]) {
                let _ = (
                    glance.refuse(&rebuff(Some("oc=1"))),
                    glance.uri(),
                    glance.via(),
                );
            }
        }
        for bytes in [
            &b"\r\n\r\n"[..],
            b"\0\0",
            b"A B\r\n:\r\n",
            b"SIP/2.0 200 OK\r\n",
        ] {
            assert!(Glance::of(bytes).is_none());
        }
    }
}
