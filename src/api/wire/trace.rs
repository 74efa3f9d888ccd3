//! A call's trace over the wire.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::trace::summary::Summary;
use crate::trace::{Entry, Party, SipMessage, Story, Told};

/// What happened to a call, on one time axis. Secrets are masked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TraceJson {
    /// The call's id; none for a request that became no call.
    pub call_id: Option<String>,
    /// The SIP Call-IDs of its legs, the caller's first.
    pub sip_call_ids: Vec<String>,
    /// When its first entry was, RFC 3339 in microseconds.
    pub started_at: String,
    /// Whether the call is over.
    pub ended: bool,
    /// Who took part.
    pub parties: Vec<TracePartyJson>,
    /// What happened, in order of time.
    pub entries: Vec<TraceEntryJson>,
    /// Entries left out between the first half and the latest, because there were too many.
    pub left_out: u64,
    /// Packets of sound that a capture of it would have.
    pub packets: usize,
    /// Packets that were left out.
    pub packets_left_out: u64,
}

/// Somebody who took part.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TracePartyJson {
    /// The leg; 0 is the caller's.
    pub leg: u32,
    /// Endpoint, trunk or address.
    pub name: String,
    /// Where its messages come from and go.
    pub address: String,
    /// The leg's SIP Call-ID.
    pub sip_call_id: String,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TraceEntryJson {
    /// Grows in the order in which entries were told; ask for those `after` one.
    pub number: u32,
    /// When, RFC 3339 in microseconds.
    pub at: String,
    /// Seconds since the first entry.
    pub since_secs: f64,
    /// `message`, `step` (dialplan, queue, call) or `media`.
    pub kind: String,
    /// Whose leg, if one's.
    pub leg: Option<u32>,
    /// It in one line.
    pub text: String,
    /// The message, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<TraceMessageJson>,
}

/// A SIP message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TraceMessageJson {
    /// Whether the server sent it.
    pub sent: bool,
    /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`.
    pub transport: String,
    /// The server's end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// The transaction.
    pub cseq: String,
    /// Its sound in few words: codecs, address, direction.
    pub sdp: Option<String>,
    /// All of it; bytes that are no UTF-8 are replaced.
    pub full: String,
}

/// Which entries of a trace.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TraceQueryJson {
    /// Only entries told after the one of this number.
    pub(in crate::api) after: Option<u32>,
}

/// Whose next call is to be captured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CaptureJson {
    /// The caller's number or user, as calls show it.
    pub(in crate::api) from: String,
}

impl TraceJson {
    /// Entries after that number, or all.
    pub(in crate::api) fn new(story: &Story, unix_nanos_at_zero: u64, after: Option<u32>) -> Self {
        let later = |entry: &&Entry| after.is_none_or(|after| entry.number > after);
        let entry = |entry| TraceEntryJson::new(story, entry, unix_nanos_at_zero);
        Self {
            call_id: story.call.map(|call| call.to_string()),
            sip_call_ids: story.sip_call_ids().map(str::to_owned).collect(),
            started_at: moment(unix_nanos_at_zero, story.begun),
            ended: story.ended.is_some(),
            parties: story.parties.iter().map(TracePartyJson::new).collect(),
            entries: story.entries.iter().filter(later).map(entry).collect(),
            left_out: story.left_out,
            packets: story.packet_count(),
            packets_left_out: story.packets_left_out,
        }
    }
}

impl TracePartyJson {
    fn new(party: &Party) -> Self {
        Self {
            leg: party.leg.0,
            name: party.who.clone(),
            address: party.remote.to_string(),
            sip_call_id: party.sip_call_id.to_string(),
        }
    }
}

impl TraceEntryJson {
    fn new(story: &Story, entry: &Entry, unix_nanos_at_zero: u64) -> Self {
        let (kind, text, message) = match &entry.what {
            Told::Message(message) => {
                let summary = Summary::of(&message.bytes);
                let message = TraceMessageJson::new(message, &summary);
                ("message", summary.line, Some(message))
            }
            Told::Step(text) => ("step", text.clone(), None),
            Told::Media(text) => ("media", text.clone(), None),
        };
        Self {
            number: entry.number,
            at: moment(unix_nanos_at_zero, entry.at),
            since_secs: entry.at.since(story.begun).as_secs_f64(),
            kind: kind.to_owned(),
            leg: entry.leg.map(|leg| leg.0),
            text,
            message,
        }
    }
}

impl TraceMessageJson {
    fn new(message: &SipMessage, summary: &Summary) -> Self {
        Self {
            sent: message.sent,
            transport: message.transport.to_string(),
            local: message.local.to_string(),
            remote: message.remote.to_string(),
            cseq: summary.cseq.clone(),
            sdp: summary.sdp.clone(),
            full: String::from_utf8_lossy(&message.bytes).into_owned(),
        }
    }
}

/// RFC 3339 in UTC, to the microsecond.
fn moment(unix_nanos_at_zero: u64, at: clock::Now) -> String {
    let nanos = i128::from(unix_nanos_at_zero) + i128::from(at.as_nanos());
    jiff::Timestamp::from_nanosecond(nanos)
        .map(|t| format!("{t:.6}"))
        .unwrap_or_default()
}
