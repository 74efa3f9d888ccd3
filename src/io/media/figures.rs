//! What the media threads tell of themselves, as metrics with the worker for a label.
//!
//! Published in the control thread as their counters arrive, ten times a second; a media thread
//! itself knows of no registry.

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
    metrics::gauge!("tandem_media_cpu_seconds", &labels).set(stats.cpu.as_secs_f64());
}
