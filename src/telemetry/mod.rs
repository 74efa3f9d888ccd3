//! Logs and metrics: set up once at start, used through `tracing` and `metrics` everywhere.
//!
//! The law: secrets and personal data never reach a log; labels come from bounded sets. Logs go to
//! standard error, so that what a command prints stays clean.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};

/// Starts logging as configured; a second call in one process changes nothing.
///
/// # Errors
/// [`ConfigError::Value`] if `log.filter` is no filter.
pub fn log(config: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|_| ConfigError::Value {
        key: "log.filter".to_owned(),
        rule: "a level such as \"info\", or \"info,tandem::call=debug\"".to_owned(),
        value: format!("\"{}\"", config.filter),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Only a subscriber that is already there can refuse: a test's, or an earlier call's.
    let _ = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// Installs the recorder behind `metrics::counter!` and its kin, with buckets for seconds.
///
/// # Errors
/// [`BuildError`] if somebody else has installed a recorder.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    let mut installed = INSTALLED.lock();
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_mos".to_owned()), &OPINIONS)?
        .install_recorder()?;
    describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// The recorder is the process's: servers one after the other in a process share it.
static INSTALLED: parking_lot::Mutex<Option<PrometheusHandle>> = parking_lot::Mutex::new(None);

/// Tells the recorder in force what each metric means.
pub fn describe() {
    for (name, help) in GAUGES {
        metrics::describe_gauge!(name, help);
    }
    for (name, help) in COUNTERS {
        metrics::describe_counter!(name, help);
    }
    for (name, help) in HISTOGRAMS {
        metrics::describe_histogram!(name, help);
    }
}

const GAUGES: [(&str, &str); 27] = [
    ("tandem_webrtc_sessions", "Browsers whose media is here"),
    (
        "tandem_memory_bytes",
        "Memory of the allocator: allocated by us, in pages that hold some of it, its own tables, resident",
    ),
    ("tandem_calls_active", "Calls in progress"),
    (
        "tandem_trunk_calls",
        "Calls in progress by trunk, both ways",
    ),
    (
        "tandem_trunk_targets",
        "Targets of each trunk by state, as OPTIONS and calls find them",
    ),
    (
        "tandem_trunk_registered",
        "Whether our registration with a trunk stands, where one is wanted",
    ),
    ("tandem_queue_waiting", "Calls that wait, by queue"),
    (
        "tandem_queue_longest_wait_seconds",
        "How long the call that waits longest has waited, by queue",
    ),
    (
        "tandem_agents",
        "Agents by what they do; unreachable ones by that alone",
    ),
    ("tandem_registrations", "Contacts registered"),
    (
        "tandem_ban_sources",
        "Sources remembered for failed proofs, banned or not",
    ),
    ("tandem_media_ports", "Media ports open or reserved"),
    ("tandem_sip_transactions", "SIP transactions not yet over"),
    ("tandem_sip_dialogs", "SIP dialogs, early ones included"),
    (
        "tandem_sip_connections",
        "Open TCP and TLS connections of SIP",
    ),
    (
        "tandem_media_cpu_seconds",
        "Processor time that a media thread has used",
    ),
    (
        "tandem_cpu_seconds",
        "Processor time that the process has used",
    ),
    (
        "tandem_trunk_calls_max",
        "Calls that each trunk may have, where that is bounded",
    ),
    (
        "tandem_trace_stories",
        "Calls, and requests that became none, of which a trace is kept",
    ),
    (
        "tandem_trace_bytes",
        "Memory of traces: of signalling, and of captured packets",
    ),
    ("tandem_open_files", "Open file descriptors of the process"),
    (
        "tandem_media_sockets_resting",
        "Sockets that rest open for the next port; each is an open file",
    ),
    (
        "tandem_draining",
        "1 while new calls are refused because the server goes down",
    ),
    (
        "tandem_queueing_delay_seconds",
        "How long the message served last had waited for control",
    ),
    (
        "tandem_queueing_delay_max_seconds",
        "The longest that a message waited for control since the last scrape",
    ),
    (
        "tandem_messages_waiting",
        "SIP messages that wait for control",
    ),
    (
        "tandem_overloaded",
        "1 while new calls are refused because control is behind",
    ),
];

const COUNTERS: [(&str, &str); 52] = [
    (
        "tandem_webrtc_media_total",
        "Packets of browsers' media, by worker",
    ),
    (
        "tandem_webrtc_passed_total",
        "Checks and handshakes of browsers, given to the web thread, by worker",
    ),
    (
        "tandem_webrtc_refused_total",
        "Datagrams dropped at the port that browsers share, by worker and what",
    ),
    (
        "tandem_webrtc_checks_total",
        "Checks of browsers: taken; of them for nobody, and forged",
    ),
    (
        "tandem_webrtc_answers_total",
        "Datagrams to browsers that are no media: sent, failed",
    ),
    (
        "tandem_webrtc_sessions_total",
        "Browsers whose handshake made keys, and those that were lost",
    ),
    (
        "tandem_sip_unread_total",
        "Datagrams dropped before they were read, by listener: its buffer was full, or the gate closed",
    ),
    ("tandem_calls_ended_total", "Calls that are over"),
    ("tandem_bans_total", "Bans of sources that began"),
    (
        "tandem_sip_turned_away_total",
        "Messages not heard or not sent, INVITEs not looked at, failed proofs and lines not told, by why",
    ),
    ("tandem_emergency_calls_total", "Calls to emergency numbers"),
    (
        "tandem_limit_alarms_total",
        "Limits of a day that are nearly or wholly used up",
    ),
    (
        "tandem_trunk_rerouted_total",
        "Legs that a target had no use for and that went on to another, by trunk",
    ),
    (
        "tandem_overload_total",
        "Episodes of overload; in them new calls refused with 503, left unanswered, and what was dropped",
    ),
    (
        "tandem_sip_rejected_total",
        "Requests refused, by SIP status; 0: without an answer",
    ),
    (
        "tandem_sip_events_total",
        "Messages malformed, stray or repeated, and requests for which a table was full",
    ),
    (
        "tandem_sip_transport_total",
        "What the SIP transports did: messages, and connections by how they began and ended",
    ),
    (
        "tandem_queue_joined_total",
        "Calls that wanted to wait, by queue",
    ),
    (
        "tandem_queue_assigned_total",
        "Calls that an agent took, by queue",
    ),
    (
        "tandem_queue_abandoned_total",
        "Calls whose caller left while waiting, by queue",
    ),
    (
        "tandem_queue_expired_total",
        "Calls that waited too long or lost their last agent, by queue",
    ),
    ("tandem_queue_refused_total", "Calls not let in, by queue"),
    (
        "tandem_trace_left_out_total",
        "What traces lack, by why: no room in the queue or in memory, or not sent to a Homer",
    ),
    ("tandem_recordings_total", "Recordings written"),
    (
        "tandem_recordings_disk_full_total",
        "Recordings whose disk had no room: each has a hole from then on",
    ),
    (
        "tandem_recordings_lost_milliseconds_total",
        "Milliseconds of recordings that hold silence against anybody's will",
    ),
    (
        "tandem_recordings_refused_total",
        "Recordings not made because too many were being made",
    ),
    (
        "tandem_voice_frames_total",
        "Frames of 10 ms that voice threads processed, of legs that ended",
    ),
    (
        "tandem_voice_frames_lost_total",
        "Frames of 10 ms that did not reach a voice thread, of legs that ended",
    ),
    (
        "tandem_voice_frames_dropped_total",
        "Processed frames of 10 ms that a ring had no room for, of legs that ended",
    ),
    (
        "tandem_voice_refused_total",
        "Legs that no voice thread had room for",
    ),
    (
        "tandem_voice_broken_total",
        "Legs whose voice goes on unprocessed after a panic",
    ),
    (
        "tandem_voice_news_dropped_total",
        "Talk spurts that were not told because too many waited",
    ),
    (
        "tandem_http_requests_total",
        "Requests to the API, by route, method and status",
    ),
    (
        "tandem_store_records_total",
        "Records written to the database",
    ),
    (
        "tandem_store_retries_total",
        "Commits tried again because the database refused",
    ),
    (
        "tandem_store_full_total",
        "Records that had to wait at the edge because the writer was behind",
    ),
    (
        "tandem_store_lost_total",
        "Records that were not kept: the database had not written for long, or had stopped",
    ),
    (
        "tandem_media_packets_received_total",
        "RTP and RTCP packets received, by media thread",
    ),
    (
        "tandem_media_packets_sent_total",
        "RTP and RTCP packets sent, by media thread",
    ),
    (
        "tandem_media_send_errors_total",
        "Packets that the system did not take",
    ),
    ("tandem_media_ticks_total", "Ticks of a media thread"),
    ("tandem_media_ticks_late_total", "Ticks that began too late"),
    (
        "tandem_media_ticks_left_out_total",
        "Ticks left out to catch up",
    ),
    (
        "tandem_media_ticks_coalesced_total",
        "Ticks for which packets were let gather under load",
    ),
    (
        "tandem_media_events_dropped_total",
        "Words of a media thread that control had no room for",
    ),
    (
        "tandem_media_packets_dropped_total",
        "Packets that a media thread had no room for",
    ),
    (
        "tandem_audio_lost_total",
        "Times that a party was not heard any more, or was again: one-way, none, heard",
    ),
    (
        "tandem_media_rtp_total",
        "RTP packets by what became of them: received, lost on the way, late, recovered by others",
    ),
    (
        "tandem_media_refused_total",
        "Packets refused or not sent: foreign, malformed, SRTP of a wrong tag, replayed, without a key",
    ),
    (
        "tandem_media_frames_total",
        "Frames of 20 ms: played, of those concealed; of those looked at silent and clipped",
    ),
    (
        "tandem_media_strays_total",
        "Packets from a source that no port expects",
    ),
];

const HISTOGRAMS: [(&str, &str); 4] = [
    (
        "tandem_leg_mos",
        "Legs by the rating of what came from them (ITU-T G.107), by trunk; endpoints have none",
    ),
    (
        "tandem_leg_peer_mos",
        "Legs by the rating that their reports give to what we sent",
    ),
    (
        "tandem_leg_jitter_max_seconds",
        "Legs by the largest jitter of what came from them (RFC 3550)",
    ),
    (
        "tandem_leg_round_trip_seconds",
        "Legs by the round trip that their last report tells of",
    ),
];

/// Upper bounds of opinions, 1 to 4.5: what G.107 calls nearly all dissatisfied, many, some, satisfied.
const OPINIONS: [f64; 9] = [1.5, 2.0, 2.58, 3.1, 3.6, 3.8, 4.03, 4.34, 4.5];

/// Upper bounds of all other histograms, which count seconds: from a tick to a long wait.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0, 1_200.0,
];

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_metric_named_anywhere_has_a_help_text() {
        let mut files = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut files,
        );
        let known: Vec<&str> = [&GAUGES[..], &COUNTERS[..], &HISTOGRAMS[..]]
            .concat()
            .iter()
            .map(|(name, _)| *name)
            .collect();
        let mut named = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let quoted = text.split('"').filter(|word| word.starts_with("tandem_"));
            let plain = |word: &&str| {
                // The prefix alone, as above, is no name.
                !word.ends_with('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            };
            for name in quoted.filter(plain) {
                named += 1;
                assert!(known.contains(&name), "{}: {name}", file.display());
            }
        }
        assert!(named > known.len(), "{named}");
    }
}
