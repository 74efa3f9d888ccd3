//! Hang-up causes: one enum, mapped to and from SIP statuses and Q.850 values.
//!
//! The table follows RFC 3398 §7.2.4.1 and §8.2.6.1; where several statuses share a cause, the one
//! a carrier expects is sent. A [`Cause`] that came from outside keeps its own numbers in the CDR.

use std::fmt;

/// Why a call or a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody hung up.
    Normal,
    /// The caller gave up before an answer.
    Cancelled,
    /// It rang here, and was answered elsewhere (RFC 3326 §3.1).
    Elsewhere,
    /// The callee is busy.
    Busy,
    /// The callee did not answer.
    NoAnswer,
    /// The callee refused.
    Rejected,
    /// No such number here.
    NoSuchNumber,
    /// The destination cannot be reached.
    Unreachable,
    /// No codec or media profile in common.
    IncompatibleMedia,
    /// A limit was reached: capacity, rate, concurrency.
    Congestion,
    /// The caller is not allowed to do that.
    Forbidden,
    /// The dialplan took too long or failed.
    Failure,
    /// The network lost the party: no ACK, no session refresh, connection gone.
    Lost,
}

/// Cause, name, SIP status sent, Q.850 value.
const TABLE: [(Cause, &str, u16, u16); 13] = [
    (Cause::Normal, "normal", 480, 16),
    (Cause::Cancelled, "cancelled", 487, 16),
    (Cause::Elsewhere, "elsewhere", 487, 26),
    (Cause::Busy, "busy", 486, 17),
    (Cause::NoAnswer, "no-answer", 480, 19),
    (Cause::Rejected, "rejected", 603, 21),
    (Cause::NoSuchNumber, "no-such-number", 404, 1),
    (Cause::Unreachable, "unreachable", 502, 27),
    (Cause::IncompatibleMedia, "incompatible-media", 488, 88),
    (Cause::Congestion, "congestion", 503, 34),
    (Cause::Forbidden, "forbidden", 403, 57),
    (Cause::Failure, "failure", 500, 41),
    (Cause::Lost, "lost", 408, 102),
];

impl Cause {
    /// Every cause, in table order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, u16, u16) {
        let [first, ..] = &TABLE;
        TABLE.iter().find(|row| row.0 == self).unwrap_or(first)
    }

    /// The name in dialplans, CDRs and the API.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The final status that refuses an INVITE for this cause.
    pub fn sip_status(self) -> u16 {
        self.row().2
    }

    /// The Q.850 value of a Reason header (RFC 3326).
    pub fn q850(self) -> u16 {
        self.row().3
    }

    /// The cause behind a final status of 300 or more (RFC 3398 §8.2.6.1, shortened to our causes).
    pub fn from_status(status: u16) -> Self {
        match status {
            404 | 410 | 484 | 485 | 604 => Self::NoSuchNumber,
            408 | 480 => Self::NoAnswer,
            486 | 600 => Self::Busy,
            487 => Self::Cancelled,
            401 | 402 | 403 | 407 => Self::Forbidden,
            415 | 488 | 606 => Self::IncompatibleMedia,
            502 | 504 => Self::Unreachable,
            503 => Self::Congestion,
            500 | 501 | 505..=599 => Self::Failure,
            _ => Self::Rejected,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_one_row_and_its_name_leads_back() {
        for cause in Cause::all() {
            assert_eq!(TABLE.iter().filter(|row| row.0 == cause).count(), 1);
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
        }
    }

    // covers: RFC 3398 §8.2.6.1
    #[test]
    fn a_status_maps_to_the_cause_that_a_carrier_would_send() {
        let table = [
            (404, Cause::NoSuchNumber),
            (408, Cause::NoAnswer),
            (486, Cause::Busy),
            (488, Cause::IncompatibleMedia),
            (503, Cause::Congestion),
            (603, Cause::Rejected),
        ];
        for (status, cause) in table {
            assert_eq!(Cause::from_status(status), cause, "{status}");
        }
    }
}
