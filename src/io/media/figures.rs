//! What the media threads tell of themselves, as metrics with the worker for a label.
//!
//! Published in the control thread as their counters arrive, ten times a second; a media thread
//! itself knows of no registry.

use media::quality::Totals;

use super::ThreadStats;
use crate::io::web::Counts;

/// Brings the series of one worker up to date.
pub(super) fn publish(worker: usize, stats: &ThreadStats) {
    let labels = [("worker", worker.to_string())];
    let counts = [
        ("tandem_media_packets_received_total", stats.received),
        ("tandem_media_packets_sent_total", stats.sent),
        ("tandem_media_send_errors_total", stats.send_errors),
        ("tandem_media_ticks_total", stats.worker.ticks),
        ("tandem_media_ticks_late_total", stats.overruns),
        (
            "tandem_media_ticks_left_out_total",
            stats.worker.ticks_missed,
        ),
        ("tandem_media_ticks_coalesced_total", stats.coalesced),
        (
            "tandem_media_events_dropped_total",
            stats.worker.events_dropped,
        ),
        (
            "tandem_media_packets_dropped_total",
            stats.worker.transmits_dropped,
        ),
        ("tandem_media_strays_total", stats.worker.strays),
        ("tandem_webrtc_media_total", stats.door.media),
        ("tandem_webrtc_passed_total", stats.door.passed),
    ];
    for (name, count) in counts {
        metrics::counter!(name, &labels).absolute(count);
    }
    let refused = [
        ("unrouted", stats.door.unrouted),
        ("fallen-behind", stats.door.dropped),
        ("other", stats.door.other),
    ];
    for (what, count) in refused {
        let labels = [("worker", worker.to_string()), ("what", what.to_owned())];
        metrics::counter!("tandem_webrtc_refused_total", &labels).absolute(count);
    }
    totals(worker, &stats.worker.totals);
    metrics::gauge!("tandem_media_cpu_seconds", &labels).set(stats.cpu.as_secs_f64());
}

/// Sockets that belong to no port and rest open for the next.
pub(super) fn resting(pairs: usize) {
    metrics::gauge!("tandem_media_sockets_resting").set(2.0 * pairs as f64);
}

/// Brings the series of the web thread up to date.
pub(super) fn publish_web(counts: &Counts) {
    metrics::gauge!("tandem_webrtc_sessions").set(counts.sessions as f64);
    let all = [
        ("tandem_webrtc_checks_total", "taken", counts.taken),
        ("tandem_webrtc_checks_total", "strange", counts.strange),
        ("tandem_webrtc_checks_total", "forged", counts.forged),
        ("tandem_webrtc_checks_total", "asked", counts.asked),
        ("tandem_webrtc_answers_total", "sent", counts.sent),
        ("tandem_webrtc_answers_total", "failed", counts.send_errors),
        ("tandem_webrtc_sessions_total", "secured", counts.secured),
        ("tandem_webrtc_sessions_total", "lost", counts.lost),
    ];
    for (name, what, count) in all {
        metrics::counter!(name, "what" => what).absolute(count);
    }
}

/// What a worker's ports have counted.
fn totals(worker: usize, totals: &Totals) {
    let families = [
        (
            "tandem_media_rtp_total",
            &[
                ("received", totals.received),
                ("lost", totals.lost),
                ("late", totals.late),
                ("recovered", totals.recovered),
            ][..],
        ),
        (
            "tandem_media_refused_total",
            &[
                ("foreign", totals.foreign),
                ("malformed", totals.malformed),
                ("srtp-bad-tag", totals.unauthentic),
                ("srtp-replayed", totals.replayed),
                ("srtp-no-key", totals.keyless),
                ("srtp-unsent", totals.unsent),
            ],
        ),
        (
            "tandem_media_frames_total",
            &[
                ("played", totals.frames),
                ("concealed", totals.concealed),
                ("silent", totals.silent),
                ("clipped", totals.clipped),
            ],
        ),
    ];
    for (name, counts) in families {
        for &(what, count) in counts {
            let labels = [("worker", worker.to_string()), ("what", what.to_owned())];
            metrics::counter!(name, &labels).absolute(count);
        }
    }
}
