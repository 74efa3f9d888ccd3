//! How a leg's media fared, as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::LegRow;

/// How the media of one leg fared: docs/quality.md says what each figure means. Counts are of packets
/// unless a name says otherwise; what is not known is null.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LegJson {
    /// Who was at the other end.
    who: String,
    trunk: Option<String>,
    /// The codec agreed last.
    codec: String,
    received: u64,
    sent: u64,
    /// What the peer sent and never came.
    lost: i64,
    /// What came too late to be heard.
    late: u32,
    /// What was made good by others: FEC or RED.
    recovered: u32,
    /// Frames of 20 ms played, of a leg that was decoded.
    frames: u32,
    /// Of those, the ones that had to be invented.
    concealed: u32,
    jitter_max_ms: f64,
    round_trip_ms: Option<f64>,
    /// Rating of what came from the peer (ITU-T G.107), 0 to 93.2.
    r: Option<f64>,
    /// The same as an opinion, 1 to 4.5.
    mos: Option<f64>,
    /// The opinion of the worst five seconds.
    mos_worst: Option<f64>,
    /// The opinion of what we sent, by the peer's reports.
    peer_mos: Option<f64>,
    /// Of what we sent, lost by the peer's last report.
    peer_lost: i32,
    /// How often the peer fell silent for longer than it may.
    silences: u32,
    silence_longest_ms: f64,
    /// Digital silence among the frames that were looked at.
    silent_percent: Option<f64>,
    /// Clipped frames among them.
    clipped_percent: Option<f64>,
    /// From an address that may not speak.
    foreign: u32,
    srtp_bad_tag: u32,
    srtp_replayed: u32,
    srtp_no_key: u32,
    srtp_unsent: u32,
}

impl From<LegRow> for LegJson {
    fn from(it: LegRow) -> Self {
        Self {
            who: it.who,
            trunk: it.trunk,
            codec: it.codec,
            received: it.received,
            sent: it.sent,
            lost: it.lost,
            late: it.late,
            recovered: it.recovered,
            frames: it.frames,
            concealed: it.concealed,
            jitter_max_ms: it.jitter_max_ms,
            round_trip_ms: it.round_trip_ms,
            r: it.r,
            mos: it.mos,
            mos_worst: it.mos_worst,
            peer_mos: it.peer_mos,
            peer_lost: it.peer_lost,
            silences: it.silences,
            silence_longest_ms: it.silence_longest_ms,
            silent_percent: it.silent_percent,
            clipped_percent: it.clipped_percent,
            foreign: it.foreign,
            srtp_bad_tag: it.srtp_bad_tag,
            srtp_replayed: it.srtp_replayed,
            srtp_no_key: it.srtp_no_key,
            srtp_unsent: it.srtp_unsent,
        }
    }
}
