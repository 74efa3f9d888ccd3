//! Blind transfer by the callee: REFER (RFC 3515) inside a bridged call.
//!
//! ```text
//!   bridged ──REFER──▶ 202, NOTIFY 100, the caller hears ringing ──answered──▶ NOTIFY 200, BYE to the
//!      ▲                                   │                                     transferor, bridged anew
//!      └────────── refused, timed out ─────┘  NOTIFY with the status
//! ```

use clock::Now;
use sip::message::{Message, Method, Name, NameAddr};
use sip::ua::RequestId;

use super::action::{Destination, DialToken, DtmfVia, Notice};
use super::machine::{Call, Output, SipCommand, TRANSFER_TIMEOUT, Target};
use super::sound::Purpose;
use super::{Cause, LegId, Trouble};

/// A transfer in progress.
#[derive(Debug)]
pub(super) struct Transfer {
    token: DialToken,
    /// Who asked; may be gone before the target answers.
    by: LegId,
    target: Option<LegId>,
    pub(super) until: Now,
}

/// Transfers' tokens lie above all that plans choose.
const TOKENS: u64 = 1 << 63;

impl Call {
    /// A request within a leg's dialog: digits by INFO, a transfer by REFER.
    pub(super) fn on_request(&mut self, now: Now, leg: LegId, id: RequestId, request: &Message) {
        let status = match request.method() {
            Some(Method::Info) => self.on_info(leg, request),
            Some(Method::Refer) => return self.on_refer(now, leg, id, request),
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
        if leg == LegId::CALLER {
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

    fn on_refer(&mut self, now: Now, leg: LegId, id: RequestId, request: &Message) {
        let target = request
            .header(Name::ReferTo)
            .and_then(|value| NameAddr::parse(value).ok())
            .map(|address| address.uri.to_string());
        let status = match (&target, self.partner) {
            (None, _) => 400,
            // A caller has nobody of ours to hand over; a call that rings has not decided yet.
            (Some(_), partner) if partner != Some(leg) => 603,
            _ if self.transfer.is_some() => 491,
            _ => 202,
        };
        self.sip(leg, SipCommand::Respond(id, status));
        let Some(target) = target.filter(|_| status == 202) else {
            let target = request.header(Name::ReferTo).unwrap_or_default().to_owned();
            return self.trouble(Trouble::Transfer { status, target });
        };
        let token = DialToken(TOKENS | u64::from(self.next_leg));
        self.transfer = Some(Transfer {
            token,
            by: leg,
            target: None,
            until: now + TRANSFER_TIMEOUT,
        });
        self.sip(
            leg,
            SipCommand::NotifyTransfer {
                status: 100,
                last: false,
            },
        );
        self.part(leg);
        self.start_ringing_tone();
        let to = vec![Destination::Uri(target)];
        self.outputs.push_back(Output::Resolve {
            token,
            to,
            caller_id: None,
        });
    }

    pub(super) fn is_transfer(&self, token: DialToken) -> bool {
        token.0 & TOKENS != 0 || self.transfer.as_ref().is_some_and(|it| it.token == token)
    }

    pub(super) fn is_transfer_leg(&self, leg: LegId) -> bool {
        self.transfer
            .as_ref()
            .is_some_and(|it| it.target == Some(leg))
    }

    /// Rings the first target; a transfer does not fork.
    pub(super) fn transfer_resolved(&mut self, now: Now, targets: Vec<Target>) {
        let mut targets = targets.into_iter();
        let first = if self.transfer.is_some() {
            targets.next()
        } else {
            None
        };
        for target in targets {
            self.outputs
                .push_back(Output::Release(target.media.reserved.port));
        }
        let leg = first.and_then(|target| self.invite_target(target));
        match (leg, &mut self.transfer) {
            (Some(leg), Some(transfer)) => transfer.target = Some(leg),
            (None, Some(_)) => self.transfer_failed(now, 404),
            _ => {}
        }
    }

    /// The target answered: it is the partner now, the transferor goes.
    pub(super) fn transfer_answered(&mut self, _now: Now, leg: LegId) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        self.stop_purpose(LegId::CALLER, Purpose::Ringing);
        self.stop_purpose(LegId::CALLER, Purpose::Hold);
        if self.legs.get(&transfer.by).is_some_and(|it| it.is_alive()) {
            self.sip(
                transfer.by,
                SipCommand::NotifyTransfer {
                    status: 200,
                    last: true,
                },
            );
            self.end_leg(transfer.by, Cause::Normal);
        }
        self.partner = Some(leg);
        self.join(leg);
        if let Some((token, _)) = self.bridged_by {
            self.tell(Notice::Transferred(token));
        }
    }

    /// The target refused or did not answer: back to the transferor, if still there.
    pub(super) fn transfer_failed(&mut self, now: Now, status: u16) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        if let Some(target) = transfer.target {
            self.end_leg(target, Cause::Cancelled);
        }
        self.stop_purpose(LegId::CALLER, Purpose::Ringing);
        if self.legs.get(&transfer.by).is_some_and(|it| it.is_alive()) {
            self.sip(
                transfer.by,
                SipCommand::NotifyTransfer { status, last: true },
            );
            self.join(transfer.by);
        } else {
            self.partner_left(now, Cause::from_status(status));
        }
    }

    /// Whether the transferor's hang-up leaves the caller waiting for the target.
    pub(super) fn transfer_outlives(&self, leg: LegId) -> bool {
        self.transfer
            .as_ref()
            .is_some_and(|transfer| transfer.by == leg)
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
