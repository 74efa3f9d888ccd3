//! How one leg's media fared, as it is stored: an object of the `legs` column's list.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::LegFigures;

/// One leg of a record. Counts are of packets unless a name says otherwise; of what is not known
/// nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegRow {
    /// Who was at the other end.
    pub who: String,
    /// The trunk that the leg went through.
    pub trunk: Option<String>,
    /// The codec agreed last.
    pub codec: String,
    /// RTP packets taken from the peer.
    pub received: u64,
    /// RTP packets sent to it.
    pub sent: u64,
    /// Packets that it sent and that never came.
    pub lost: i64,
    /// Packets too late to be heard.
    pub late: u32,
    /// Packets made good by others: FEC or RED.
    pub recovered: u32,
    /// Frames of 20 ms played, of a leg that was decoded.
    pub frames: u32,
    /// Of those, the ones that had to be invented.
    pub concealed: u32,
    /// The largest interarrival jitter, in ms.
    pub jitter_max_ms: f64,
    /// Time there and back, in ms.
    pub round_trip_ms: Option<f64>,
    /// Rating of what came from the peer, R.
    pub r: Option<f64>,
    /// The same as an opinion.
    pub mos: Option<f64>,
    /// The opinion of the worst five seconds.
    pub mos_worst: Option<f64>,
    /// The opinion of what we sent, as the peer's reports have it.
    pub peer_mos: Option<f64>,
    /// Packets of ours that the peer's last report calls lost.
    pub peer_lost: i32,
    /// How often the peer fell silent for longer than it may.
    pub silences: u32,
    /// For how long at most, in ms.
    pub silence_longest_ms: f64,
    /// Share of the frames looked at that were digital silence, in percent.
    pub silent_percent: Option<f64>,
    /// Share of them that were clipped, in percent.
    pub clipped_percent: Option<f64>,
    /// Packets from an address that may not speak.
    pub foreign: u32,
    /// SRTP: packets of a wrong tag.
    pub srtp_bad_tag: u32,
    /// SRTP: packets that came again.
    pub srtp_replayed: u32,
    /// SRTP: packets that came before their key.
    pub srtp_no_key: u32,
    /// SRTP: packets that could not be protected.
    pub srtp_unsent: u32,
}

impl LegRow {
    /// The row of a leg.
    pub fn new(leg: &LegFigures) -> Self {
        let it = &leg.stats;
        let ms = |span: Duration| hundredths(span.as_secs_f64() * 1e3);
        let sound = &it.sound;
        let share = |of: u32| {
            let percent = f64::from(of) * 100.0 / f64::from(sound.frames.max(1));
            (sound.frames > 0).then(|| hundredths(percent))
        };
        Self {
            who: leg.who.clone(),
            trunk: leg.trunk.clone(),
            codec: leg.codec.to_owned(),
            received: it.received,
            sent: it.sent,
            lost: it.lost,
            late: it.late,
            recovered: it.recovered,
            frames: it.frames,
            concealed: it.concealed,
            jitter_max_ms: ms(it.jitter_max),
            round_trip_ms: it.round_trip.map(ms),
            r: it.rating.map(|it| it.r()),
            mos: it.rating.map(|it| hundredths(it.mos())),
            mos_worst: it.rating_worst.map(|it| hundredths(it.mos())),
            peer_mos: it.peer_rating.map(|it| hundredths(it.mos())),
            peer_lost: it.peer_lost,
            silences: it.silences,
            silence_longest_ms: ms(it.silence_longest),
            silent_percent: share(sound.silent),
            clipped_percent: share(sound.clipped),
            foreign: it.foreign,
            srtp_bad_tag: it.unauthentic,
            srtp_replayed: it.replayed,
            srtp_no_key: it.keyless,
            srtp_unsent: it.unsent,
        }
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
