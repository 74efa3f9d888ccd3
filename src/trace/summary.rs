//! A SIP message in one line, for people: what it says, which transaction, what sound it wants.
//!
//! Read by lines and not by the parser: what could not be parsed must be seen too.

/// What a message's first glance shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `INVITE sip:100@host` or `180 Ringing (INVITE)`.
    pub line: String,
    /// `CSeq`.
    pub cseq: String,
    /// Codecs, address and direction of the sound, if it has SDP.
    pub sdp: Option<String>,
}

impl Summary {
    /// Of a message as it was on the wire.
    pub fn of(message: &[u8]) -> Self {
        let text = String::from_utf8_lossy(message);
        let cseq = header(&text, &["cseq"]).unwrap_or_default().to_owned();
        let method = cseq.split_whitespace().nth(1).unwrap_or("?");
        let first = text.lines().next().unwrap_or_default();
        let line = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => format!("{} ({method})", clip(status.trim(), 40)),
            None => {
                let mut words = first.split_whitespace();
                let (verb, uri) = (words.next().unwrap_or("?"), words.next().unwrap_or(""));
                let uri = uri.split([';', '?']).next().unwrap_or_default();
                format!("{} {}", clip(verb, 16), clip(uri, 60))
            }
        };
        Self {
            line: line.trim_end().to_owned(),
            cseq: clip(&cseq, 40),
            sdp: sound(&text),
        }
    }
}

/// The first value of a header, by any of its names in lower case.
pub fn header<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    text.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_end();
        let known = names.iter().any(|it| name.eq_ignore_ascii_case(it));
        known.then(|| value.trim())
    })
}

/// The SIP Call-ID of a message, well-formed or not; its first 128 characters.
pub fn sip_call_id(message: &[u8]) -> Option<&str> {
    let mut start = memchr::memchr(b'\n', message)? + 1;
    while let Some(rest) = message.get(start..) {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end)?.trim_ascii_end();
        if line.is_empty() {
            return None;
        }
        start += end + 1;
        // `i` or `Call-ID`, whatever its case.
        if !matches!(line.first(), Some(b'i' | b'I' | b'c' | b'C')) {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = line.get(..colon)?.trim_ascii_end();
        if name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i") {
            let value = line.get(colon + 1..)?.trim_ascii();
            let value = std::str::from_utf8(value).ok()?;
            return Some(clip_id(value)).filter(|it| !it.is_empty());
        }
    }
    None
}

/// `PCMU,telephone-event 10.0.0.1:4000 sendonly`.
fn sound(text: &str) -> Option<String> {
    let at = text.find("m=audio ")?;
    let (before, audio) = text.split_at(at);
    let audio = audio.split("\nm=").next().unwrap_or(audio);
    let mut words = audio.lines().next()?.split_whitespace();
    let (port, formats) = (words.nth(1)?, words.skip(1));
    let named = |format: &str| {
        let maps = audio.lines().filter_map(|it| it.strip_prefix("a=rtpmap:"));
        let map = maps
            .filter_map(|it| it.split_once(' '))
            .find(|(number, _)| *number == format);
        let name = map.map(|(_, name)| name.split('/').next().unwrap_or(name));
        name.or(match format {
            "0" => Some("PCMU"),
            "8" => Some("PCMA"),
            "9" => Some("G722"),
            "13" => Some("CN"),
            "18" => Some("G729"),
            _ => None,
        })
        .unwrap_or(format)
        .to_owned()
    };
    let codecs: Vec<String> = formats.take(8).map(named).collect();
    let own = |text: &str| {
        let lines = text.lines().filter_map(|it| it.strip_prefix("c="));
        let address = lines.filter_map(|it| it.split_whitespace().nth(2)).next();
        address.map(str::to_owned)
    };
    let address = own(audio).or_else(|| own(before)).unwrap_or_default();
    let address = if address.contains(':') {
        format!("[{address}]")
    } else {
        address
    };
    let ways = ["sendonly", "recvonly", "inactive"];
    let said = |text: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| {
            let way = line.strip_prefix("a=")?;
            ways.iter().copied().find(|it| *it == way.trim_end())
        })
    };
    let way = said(audio).or_else(|| said(before)).unwrap_or("sendrecv");
    let line = format!("{} {address}:{port} {way}", codecs.join(","));
    Some(clip(&line, 160))
}

/// At most `max` characters, and none that moves a terminal's cursor.
pub(super) fn clip(text: &str, max: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= max {
        return clean.collect();
    }
    clean.take(max.saturating_sub(1)).chain(['…']).collect()
}

/// The part of a SIP Call-ID by which it is known here.
pub(super) fn clip_id(id: &str) -> &str {
    let end = id.char_indices().nth(CALL_ID_MAX);
    id.get(..end.map_or(id.len(), |(at, _)| at)).unwrap_or(id)
}

/// Characters of a SIP Call-ID: longer ones are told apart by their beginning alone.
const CALL_ID_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::{Summary, sip_call_id};

    #[test]
    fn an_offer_shows_its_codecs_address_and_direction() {
        let message = "INVITE sip:100@h;transport=tcp SIP/2.0\r\ni : one@two\r\nCSeq: 7 INVITE\r\n\r\n\
                       v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8 0 101\r\n\
                       a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\nm=video 0 RTP/AVP 31\r\n\
                       a=inactive\r\n";
        let summary = Summary::of(message.as_bytes());
        assert_eq!(summary.line, "INVITE sip:100@h");
        assert_eq!(summary.cseq, "7 INVITE");
        let sdp = "PCMA,PCMU,telephone-event 10.0.0.1:4000 sendonly";
        assert_eq!(summary.sdp.as_deref(), Some(sdp));
        assert_eq!(sip_call_id(message.as_bytes()), Some("one@two"));
    }

    #[test]
    fn a_response_names_its_request_and_junk_is_shown_without_control_characters() {
        let ringing = Summary::of(b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n");
        assert_eq!(ringing.line, "180 Ringing (INVITE)");
        let junk = Summary::of(b"\x1b[2J\xff\x00 x\r\nCall-ID\r\n");
        assert!(!junk.line.contains('\x1b'), "{junk:?}");
        assert_eq!(sip_call_id(b"x\r\nCall-ID\r\n"), None);
        assert_eq!(sip_call_id(b"x\r\n\r\nCall-ID: no"), None);
        assert_eq!(sip_call_id(b""), None);
    }
}
