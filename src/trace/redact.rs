//! Secrets taken out of SIP messages before anybody keeps them.
//!
//! The law: a message is masked in place and keeps its length, so that Content-Length, a capture's
//! headers and an SDP parser stay content; and what is not known to be harmless is masked. Whoever
//! sends a message chooses how it is spelled: names are compared without case and blanks, folded lines
//! belong to their header, and a malformed credential is masked as a whole.

use std::ops::Range;

/// What is masked, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// Off shows everything: for a laboratory only.
    pub on: bool,
    /// Further headers whose values are masked, in lower case.
    pub headers: Vec<String>,
    /// Whether keys that people press are masked too: in INFO, in events, in RTP.
    pub digits: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            on: true,
            headers: Vec::new(),
            digits: false,
        }
    }
}

impl Redaction {
    /// Masks the secrets of one message, well-formed or not.
    pub fn message(&self, message: &mut [u8]) {
        if !self.on {
            return;
        }
        // Header rules hold for the whole message: a body may carry headers too (`message/sipfrag`).
        for line in logical_lines(message) {
            self.line(message, line);
        }
        if self.digits {
            keys_of_info(message);
        }
    }

    /// The key as it may be told: itself, or `?`.
    pub fn digit(&self, digit: char) -> char {
        if self.on && self.digits { '?' } else { digit }
    }

    /// Whether keys are masked.
    pub fn masks_digits(&self) -> bool {
        self.on && self.digits
    }

    fn line(&self, message: &mut [u8], line: Range<usize>) {
        let Some(text) = message.get(line.clone()) else {
            return;
        };
        if text.get(1) == Some(&b'=') {
            return sdp(message, line);
        }
        let Some(colon) = memchr::memchr(b':', text) else {
            return;
        };
        let name = text.get(..colon).unwrap_or_default().trim_ascii();
        let value = line.start + colon + 1..line.end;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("authorization") || is("proxy-authorization") {
            credentials(message, value);
        } else if is("authentication-info") || is("proxy-authentication-info") {
            parameters(message, value);
        } else if self.headers.iter().any(|header| is(header)) {
            mask(message, value);
        } else {
            uri_passwords(message, line);
        }
    }
}

/// The ranges of lines without their ends, each header with its folds.
fn logical_lines(message: &[u8]) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::with_capacity(LINES_USUAL);
    let mut start = 0;
    while start < message.len() {
        let rest = message.get(start..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', b'\r', rest).map_or(message.len(), |at| start + at);
        let folded = rest
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        match lines.last_mut() {
            Some(last) if folded => last.end = end,
            _ if end > start => lines.push(start..end),
            _ => {}
        }
        start = end + 1;
    }
    lines
}

/// `Digest` keeps what is not its secret; any other scheme keeps its name alone.
fn credentials(message: &mut [u8], value: Range<usize>) {
    let text = message.get(value.clone()).unwrap_or_default();
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let word = text.iter().skip(blanks).take_while(|b| !is_blank(**b));
    let after = blanks + word.count();
    let scheme = text.get(blanks..after).unwrap_or_default();
    let rest = value.start + after..value.end;
    if scheme.eq_ignore_ascii_case(b"digest") {
        parameters(message, rest);
    } else if text
        .get(after..)
        .is_some_and(|rest| rest.iter().any(|byte| !is_blank(*byte)))
    {
        mask(message, rest);
    } else {
        // One word alone may be the secret itself.
        mask(message, value);
    }
}

/// Masks the values of all parameters that are not known to be harmless, and whatever stands where
/// no parameter is.
fn parameters(message: &mut [u8], list: Range<usize>) {
    let mut at = list.start;
    while at < list.end {
        let end = parameter_end(message, at..list.end);
        let text = message.get(at..end).unwrap_or_default();
        let equals = text.iter().position(|&byte| byte == b'=');
        let Some(equals) = equals else {
            mask(message, at..end);
            at = end + 1;
            continue;
        };
        let name = text.get(..equals).unwrap_or_default().trim_ascii();
        let harmless = HARMLESS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        let value = at + equals + 1..end;
        let kept = if harmless {
            value_len(message.get(value.clone()).unwrap_or_default())
        } else {
            0
        };
        mask(message, value.start + kept..end);
        at = end + 1;
    }
}

/// Where the parameter that begins there ends: at a comma outside quotes.
fn parameter_end(message: &[u8], range: Range<usize>) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let text = message.get(range.clone()).unwrap_or_default();
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return range.start + at,
            _ => {}
        }
    }
    range.end
}

/// The length of the one token or quoted text that a value may be, with the blanks before it.
fn value_len(value: &[u8]) -> usize {
    let blanks = value.iter().take_while(|byte| is_blank(**byte)).count();
    let rest = value.get(blanks..).unwrap_or_default();
    if rest.first() != Some(&b'"') {
        return blanks + rest.iter().take_while(|byte| !is_blank(**byte)).count();
    }
    let mut escaped = false;
    for (at, &byte) in rest.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return blanks + at + 1,
            _ => {}
        }
    }
    0
}

/// What follows `user:` in a SIP URI's user part (RFC 3261 §19.1.1 discourages it; phones do it).
fn uri_passwords(message: &mut [u8], line: Range<usize>) {
    let text = message.get(line.clone()).unwrap_or_default();
    // Most lines have no user part.
    let Some(last) = memchr::memrchr(b'@', text) else {
        return;
    };
    let mut from = line.start;
    let end = line.start + last;
    while let Some(colon) = message
        .get(from..end)
        .and_then(|rest| memchr::memchr(b':', rest))
    {
        let begin = from + colon + 1;
        from = begin;
        let before = message.get(line.start..begin - 1).unwrap_or_default();
        if !is_scheme(before) {
            continue;
        }
        let body = message.get(begin..=end).unwrap_or_default();
        let stop = |byte: &u8| matches!(byte, b'@' | b'<' | b'>' | b'"') || is_blank(*byte);
        let stopped = body.iter().position(stop).unwrap_or(body.len());
        let user = body.get(..stopped).unwrap_or_default();
        if let (Some(colon), Some(b'@')) = (memchr::memchr(b':', user), body.get(stopped)) {
            mask(message, begin + colon + 1..begin + stopped);
        }
        from = begin + stopped;
    }
}

/// Whether what stands before a colon ends in `sip` or `sips`.
fn is_scheme(before: &[u8]) -> bool {
    [&b"sip"[..], b"sips"].into_iter().any(|scheme| {
        let start = before.len().checked_sub(scheme.len());
        start.is_some_and(|at| {
            before
                .get(at..)
                .is_some_and(|it| it.eq_ignore_ascii_case(scheme))
        })
    })
}

/// Keys of SDES (RFC 4568), of `k=` (RFC 4566 §5.12) and of ICE (RFC 8839).
fn sdp(message: &mut [u8], line: Range<usize>) {
    let text = message.get(line.clone()).unwrap_or_default();
    let starts = |prefix: &[u8]| {
        text.get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    if starts(b"k=") || starts(b"a=ice-pwd") {
        if let Some(colon) = memchr::memchr(b':', text) {
            mask(message, line.start + colon + 1..line.end);
        }
    } else if starts(b"a=crypto") {
        inline_keys(message, line);
    }
}

/// The keys of a `crypto` line; all of it where no key can be found.
fn inline_keys(message: &mut [u8], line: Range<usize>) {
    let text = message.get(line.clone()).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = find(lower.get(from..).unwrap_or_default(), b"inline:") {
        let key = from + found + b"inline:".len();
        let tail = lower.get(key..).unwrap_or_default();
        let len = tail
            .iter()
            .position(|byte| matches!(byte, b'|' | b';') || is_blank(*byte));
        let end = key + len.unwrap_or(tail.len());
        mask(message, line.start + key..line.start + end);
        from = end;
    }
    if from == 0 {
        let colon = lower.iter().position(|&byte| byte == b':').unwrap_or(0);
        mask(message, line.start + colon + 1..line.end);
    }
}

/// The key in an INFO's body: `Signal=5` of `application/dtmf-relay`, the bare key of
/// `application/dtmf`, `digits="…"` of KPML (RFC 4730).
pub(super) fn keys_of_info(message: &mut [u8]) {
    let Some(body) = body_of(message) else { return };
    let lower = message.to_ascii_lowercase();
    let head = lower.get(..body).unwrap_or_default();
    let speaks = |word: &[u8]| find(head, word).is_some();
    if speaks(b"application/dtmf-relay") {
        for line in logical_lines(message) {
            let text = lower.get(line.clone()).unwrap_or_default();
            let equals = text.iter().position(|&byte| byte == b'=');
            if let Some(equals) = equals
                && line.start >= body
                && text.starts_with(b"signal")
            {
                mask(message, line.start + equals + 1..line.end);
            }
        }
    } else if speaks(b"application/dtmf") {
        let end = message.len();
        mask(message, body..end);
    } else if speaks(b"kpml") {
        let mut from = body;
        while let Some(found) = find(lower.get(from..).unwrap_or_default(), b"digits=\"") {
            let start = from + found + b"digits=\"".len();
            let tail = lower.get(start..).unwrap_or_default();
            let end = start
                + tail
                    .iter()
                    .position(|&byte| byte == b'"')
                    .unwrap_or(tail.len());
            mask(message, start..end);
            from = end;
        }
    }
}

/// Where the body begins.
fn body_of(message: &[u8]) -> Option<usize> {
    find(message, b"\r\n\r\n")
        .map(|at| at + 4)
        .or_else(|| find(message, b"\n\n").map(|at| at + 2))
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

/// Blanks, quotes and line ends stay, so that the shape does.
fn mask(message: &mut [u8], range: Range<usize>) {
    for byte in message.get_mut(range).unwrap_or_default() {
        if !is_blank(*byte) && !matches!(*byte, b'"' | b'\r' | b'\n') {
            *byte = b'x';
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Lines of a message with an SDP: seldom more.
const LINES_USUAL: usize = 40;

/// Parameters of a digest that give nothing away: what a challenge says openly, and who answers it.
const HARMLESS: [&str; 13] = [
    "username",
    "username*",
    "realm",
    "nonce",
    "uri",
    "algorithm",
    "qop",
    "nc",
    "cnonce",
    "opaque",
    "nextnonce",
    "userhash",
    "stale",
];

#[cfg(test)]
mod tests {
    use super::Redaction;

    fn masked(redaction: &Redaction, message: &str) -> String {
        let mut bytes = message.as_bytes().to_vec();
        redaction.message(&mut bytes);
        assert_eq!(bytes.len(), message.len());
        String::from_utf8(bytes).unwrap()
    }

    /// Every way in which a secret may be spelled, the secret always `5ecret`.
    const SPELLINGS: &[&str] = &[
        "Authorization: Digest username=\"a\", response=\"5ecret\", nonce=\"n\"",
        "Proxy-Authorization: Digest response=5ecret,username=\"a\"",
        "AUTHORIZATION \t: digest RESPONSE = \"5ecret\"",
        "Authorization: Digest username=\"a\",\r\n response=\"5ecret\"",
        "Authorization:\r\n\tDigest response=\"5ecret\"",
        "Authorization: Digest username=\"a\" response=\"5ecret\"",
        "Authorization: Digest username=\"a\\\", response=\"5ecret\"",
        "Authorization: Digest 5ecret",
        "Authorization: Basic 5ecret",
        "Authorization: 5ecret",
        "Authorization: Bearer token=\"5ecret\"",
        "Authorization: Digest auth-param=\"5ecret\"",
        "Authentication-Info: rspauth=\"5ecret\", qop=auth",
        "INVITE sip:anna:5ecret@example.com SIP/2.0",
        "From: <sips:anna:5ecret@example.com>;tag=1",
        "Refer-To: <sip:host>,<SIP:anna:5ecret@h:5060>",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:5ecret|2^20|1:4",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:aaaa|2^20;inline:5ecret",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 5ecret",
        "k=clear:5ecret",
        "a=ice-pwd:5ecret",
        "X-Account: 5ecret",
    ];

    #[test]
    fn a_secret_is_masked_however_it_is_spelled_and_with_redaction_off_it_is_not() {
        let redaction = Redaction {
            headers: vec!["x-account".to_owned()],
            ..Redaction::default()
        };
        let off = Redaction {
            on: false,
            ..redaction.clone()
        };
        for spelling in SPELLINGS {
            for frame in [
                "INVITE sip:x SIP/2.0\r\n#\r\nTo: <sip:b>\r\n\r\n",
                "#\n",
                "#",
            ] {
                let message = frame.replace('#', spelling);
                let seen = masked(&redaction, &message);
                assert!(!seen.contains("5ecret"), "{seen}");
                assert!(masked(&off, &message).contains("5ecret"));
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let message = "INVITE sip:anna@example.com:5060;user=phone SIP/2.0\r\n\
                       Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n\
                       From: \"A: B\" <sip:bob@example.com:5070>;tag=1\r\n\
                       WWW-Authenticate: Digest realm=\"r\", nonce=\"abc\"\r\n\
                       Call-ID: a:b@c\r\n\r\nv=0\r\na=rtpmap:0 PCMU/8000\r\n";
        assert_eq!(masked(&Redaction::default(), message), message);
        let digest = "Authorization: Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", \
                      response=\"0123\", algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001";
        let seen = masked(&Redaction::default(), digest);
        assert_eq!(seen, digest.replace("0123", "xxxx"));
    }

    #[test]
    fn keys_are_masked_where_that_is_asked_for() {
        let asked = Redaction {
            digits: true,
            ..Redaction::default()
        };
        let relay = "INFO sip:x SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\n\
                     Signal=5\r\nDuration=160\r\n";
        let expected = relay.replace("Signal=5", "Signal=x");
        assert_eq!(masked(&asked, relay), expected);
        assert_eq!(masked(&Redaction::default(), relay), relay);
        let plain = "INFO sip:x SIP/2.0\r\nc: application/dtmf\r\n\r\n5";
        assert!(masked(&asked, plain).ends_with("\r\n\r\nx"));
        assert_eq!(
            (asked.digit('5'), Redaction::default().digit('5')),
            ('?', '5')
        );
    }
}
