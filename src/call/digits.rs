//! Keys by SIP INFO: read from a request, passed on across the bridge.

use sip::message::{Message, Method, Name};
use sip::ua::RequestId;

use super::LegId;
use super::action::{DtmfVia, Notice};
use super::machine::{Call, SipCommand};

impl Call {
    /// A request within a leg's dialog: digits by INFO. A REFER is its owner's to read.
    pub(super) fn on_request(&mut self, leg: LegId, id: RequestId, request: &Message) {
        let status = match request.method() {
            Some(Method::Info) => self.on_info(leg, request),
            Some(Method::Notify) => 200,
            Some(Method::Message) => 405,
            _ => 501,
        };
        self.sip(leg, SipCommand::Respond(id, status));
    }

    fn on_info(&mut self, leg: LegId, request: &Message) -> u16 {
        let kind = request.header(Name::ContentType).unwrap_or_default();
        let Some(digit) = info_digit(kind, request.body()) else {
            return 415;
        };
        if leg == self.caller {
            self.tell(Notice::Digit {
                digit,
                via: DtmfVia::Info,
            });
        }
        if let Some(other) = self.other(leg) {
            self.send_digits(other, digit.encode_utf8(&mut [0; 4]));
        }
        200
    }
}

/// The digit of an INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
fn info_digit(kind: &str, body: &[u8]) -> Option<char> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let text = std::str::from_utf8(body).ok()?;
    let signal = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim().eq_ignore_ascii_case("signal").then_some(value)
        })?
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        text
    } else {
        return None;
    };
    let signal = signal.trim();
    match signal {
        // RFC 2833's event numbers, as some phones write them.
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut chars = signal.chars();
            let digit = chars.next()?.to_ascii_uppercase();
            let known = digit.is_ascii_digit() || matches!(digit, '*' | '#' | 'A'..='D');
            (known && chars.next().is_none()).then_some(digit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::info_digit;

    // covers: S3-05
    #[test]
    fn an_info_digit_is_read_in_both_spellings_and_nothing_else_is() {
        let relay = "application/dtmf-relay";
        let table: [(&str, &[u8], Option<char>); 7] = [
            (relay, b"Signal=5\r\nDuration=160\r\n", Some('5')),
            (relay, b"Signal= *\nDuration=100", Some('*')),
            (relay, b"Signal=11\r\n", Some('#')),
            (relay, b"Signal=55\r\n", None),
            ("application/dtmf; x=y", b"9\r\n", Some('9')),
            ("application/dtmf", b"\xff", None),
            ("text/plain", b"5", None),
        ];
        for (kind, body, digit) in table {
            assert_eq!(info_digit(kind, body), digit, "{kind} {body:?}");
        }
    }
}
