//! Keys of a leg: how they come, how they go, and how one side's become the other's.
//!
//! | heard \ sent | telephone-event | INFO | tones |
//! |---|---|---|---|
//! | telephone-event | relayed, or sent anew | INFO, here | tones, by the worker |
//! | INFO | events, asked here | INFO, here | tones, asked here |
//! | tones | events, by the worker | INFO, here | the sound itself |
//!
//! The worker turns what it hears into what its port's partner takes; what goes by signalling goes
//! through here. What a leg is not to use is not agreed with it either.

mod ways;

use clock::Now;
use media::worker::PortCommand;
use sip::message::{Message, Method, Name};
use sip::ua::RequestId;
use sip::ua::{Effect, effect_of};

use super::LegId;
use super::action::{DtmfVia, Notice};
use super::command::SipCommand;
use super::machine::Call;
pub(super) use ways::Keys;

/// How keys come from a leg, and go to it (`dtmf` of a trunk or endpoint).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtmf {
    /// Telephone-events where agreed, else tones; INFO is understood from whoever sends no events.
    #[default]
    Auto,
    /// Telephone-events (RFC 4733); tones to a peer that did not agree to them.
    Rfc4733,
    /// SIP INFO, `application/dtmf-relay`.
    Info,
    /// Tones in the audio.
    InBand,
}

impl Dtmf {
    /// Whether telephone-events are offered and accepted.
    pub const fn has_events(self) -> bool {
        matches!(self, Self::Auto | Self::Rfc4733)
    }
}

/// How long a key sounds whose length nobody told.
pub(super) const USUAL_MS: u16 = 100;

impl Call {
    /// A request within a leg's dialog: digits by INFO. A REFER is its owner's to read.
    pub(super) fn on_request(&mut self, now: Now, leg: LegId, id: RequestId, request: &Message) {
        let status = match request.method() {
            Some(Method::Info) => self.on_info(now, leg, request),
            Some(Method::Notify) => 200,
            Some(Method::Message) => 405,
            _ => 501,
        };
        self.sip(leg, SipCommand::Respond(id, status));
    }

    fn on_info(&mut self, now: Now, leg: LegId, request: &Message) -> u16 {
        let kind = request.header(Name::ContentType).unwrap_or_default();
        let Some(digit) = info_digit(kind, request.body()) else {
            return 415;
        };
        let held = info_duration(request.body()).unwrap_or(USUAL_MS);
        self.on_key(now, leg, (digit, held), DtmfVia::Info);
        200
    }

    /// A key of that leg, released after so many ms.
    pub(super) fn on_key(
        &mut self,
        now: Now,
        leg: LegId,
        (digit, duration_ms): (char, u16),
        via: DtmfVia,
    ) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if !it.keys.takes(now, digit, via) {
            return;
        }
        if leg == self.caller {
            self.tell(Notice::Digit { digit, via });
        }
        let Some(other) = self.other(leg) else { return };
        let by_info = self.legs.get(&other).map(|it| it.keys.mode()) == Some(Dtmf::Info);
        // What came as media went on as media, unless the other side's keys go by signalling.
        if via == DtmfVia::Info || by_info {
            self.send_key(other, digit, duration_ms);
        }
    }

    /// Sends one key to a leg, the way that leg takes keys.
    pub(super) fn send_key(&mut self, leg: LegId, digit: char, duration_ms: u16) {
        let Some(key) = media::Digit::from_char(digit) else {
            return;
        };
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if it.keys.mode() == Dtmf::Info {
            match it.keys.queue(digit, duration_ms) {
                Some(true) => self.sip(leg, SipCommand::Key { digit, duration_ms }),
                Some(false) => {}
                None => self.note("a leg answers no INFO: a key for it was dropped".to_owned()),
            }
        } else if let Some(port) = self.open_port_of(leg) {
            let digits = Box::new([key]);
            self.port(PortCommand::SendDigits {
                port,
                digits,
                duration_ms,
            });
        }
    }

    /// A request of ours was answered: after an INFO the next may go, so that keys stay in order.
    pub(super) fn on_response(&mut self, leg: LegId, response: Option<&Message>) {
        let method = response.and_then(|it| it.cseq().ok()).map(|it| it.method);
        let status = response.and_then(Message::status).unwrap_or(0);
        if method == Some(Method::Notify) && effect_of(Method::Notify, status) != Effect::Request {
            self.news_unwanted(leg);
        }
        if method.is_none_or(|method| method == Method::Info) {
            self.key_sent(leg);
        }
    }

    /// The INFO that was on its way is done with, or could not be sent.
    pub fn key_sent(&mut self, leg: LegId) {
        let next = self.legs.get_mut(&leg).and_then(|it| it.keys.next());
        if let Some((digit, duration_ms)) = next {
            self.sip(leg, SipCommand::Key { digit, duration_ms });
        }
    }
}

/// The body of an INFO that carries a key, with its type.
pub fn info_body(digit: char, duration_ms: u16) -> (String, bytes::Bytes) {
    let body = format!("Signal={digit}\r\nDuration={duration_ms}\r\n");
    ("application/dtmf-relay".to_owned(), body.into())
}

/// The key and its length in ms that an INFO carries.
pub fn info_key(request: &Message) -> Option<(char, u16)> {
    let kind = request.header(Name::ContentType).unwrap_or_default();
    let digit = info_digit(kind, request.body())?;
    Some((digit, info_duration(request.body()).unwrap_or(USUAL_MS)))
}

/// `Duration=` of `application/dtmf-relay`, in ms, within what a key may last.
fn info_duration(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case("duration")
            .then_some(value.trim())
    })?;
    value.parse::<u16>().ok().map(|ms| ms.clamp(40, 5_000))
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
