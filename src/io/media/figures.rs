//! What the media threads tell of themselves, as metrics with the worker for a label.
//!
//! Published in the control thread as their counters arrive, ten times a second; a media thread
//! itself knows of no registry.

use media::quality::Totals;

use super::ThreadStats;

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
    ];
    for (name, count) in counts {
        metrics::counter!(name, &labels).absolute(count);
    }
    totals(worker, &stats.worker.totals);
    metrics::gauge!("tandem_media_cpu_seconds", &labels).set(stats.cpu.as_secs_f64());
}

/// Sockets that belong to no port and rest open for the next.
pub(super) fn resting(pairs: usize) {
    metrics::gauge!("tandem_media_sockets_resting").set(2.0 * pairs as f64);
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
