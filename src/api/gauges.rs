//! What a scrape of `/metrics` reads off control at that moment, told to the recorder.

use std::collections::BTreeSet;

use super::Counts;
use super::unread::unread;
use crate::center::{AgentState, QueueSnapshot, Snapshot};
use crate::control::TrunkStates;
use crate::trunk::TargetState;

/// Queues that were ever shown: one that is gone must read zero, not its last value for ever. The
/// recorder is the process's, so is this; its bound is what operators name in a process's life.
static SHOWN: parking_lot::Mutex<BTreeSet<String>> = parking_lot::Mutex::new(BTreeSet::new());

/// The same of trunks.
static TRUNKS: parking_lot::Mutex<BTreeSet<String>> = parking_lot::Mutex::new(BTreeSet::new());

/// What of memory is in use, and what the allocator holds beside that.
fn memory() {
    use tikv_jemalloc_ctl::{epoch, stats};
    // Its figures are as of the last epoch.
    let _ = epoch::advance();
    for (of, bytes) in [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("metadata", stats::metadata::read()),
        ("resident", stats::resident::read()),
    ] {
        if let Ok(bytes) = bytes {
            metrics::gauge!("tandem_memory_bytes", "of" => of).set(bytes as f64);
        }
    }
}

/// Tables, trunks, the SIP machine and its transports.
pub(super) fn counts(counts: &Counts) {
    let gauge = |name: &'static str, value: f64| metrics::gauge!(name).set(value);
    gauge("tandem_calls_active", counts.calls as f64);
    gauge("tandem_sip_transactions", counts.transactions as f64);
    gauge("tandem_sip_dialogs", counts.dialogs as f64);
    gauge("tandem_media_ports", counts.ports as f64);
    gauge("tandem_registrations", counts.registrations as f64);
    gauge("tandem_draining", f64::from(u8::from(counts.draining)));
    // Each entry is an open descriptor of this process, the listing's own included.
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        gauge("tandem_open_files", entries.count() as f64);
    }
    memory();
    for (trunk, calls) in &counts.trunks {
        let label = [("trunk", trunk.clone())];
        metrics::gauge!("tandem_trunk_calls", &label).set(f64::from(*calls));
    }
    for (trunk, max) in &counts.trunk_caps {
        let label = [("trunk", trunk.clone())];
        metrics::gauge!("tandem_trunk_calls_max", &label).set(f64::from(*max));
    }
    trunk_states(&counts.trunk_states);
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    gauge(
        "tandem_cpu_seconds",
        used.tv_sec as f64 + used.tv_nsec as f64 / 1e9,
    );
    for (event, count) in [
        ("malformed", counts.sip.malformed),
        ("stray", counts.sip.strays),
        ("table-full", counts.sip.refused_full),
        ("retransmission", counts.sip.retransmissions),
        ("forgotten-early", counts.sip.forgotten),
    ] {
        metrics::counter!("tandem_sip_events_total", "event" => event).absolute(count);
    }
    let overload = counts.overload;
    gauge(
        "tandem_queueing_delay_seconds",
        overload.delay.as_secs_f64(),
    );
    gauge(
        "tandem_queueing_delay_max_seconds",
        overload.delay_max.as_secs_f64(),
    );
    gauge("tandem_messages_waiting", overload.waiting as f64);
    gauge("tandem_overloaded", f64::from(u8::from(overload.is_over)));
    for (event, count) in [
        ("episode", overload.episodes),
        ("refused", overload.refused),
        ("unanswered", overload.dropped),
        ("rest-dropped", overload.rest_dropped),
        ("in-progress-dropped", overload.going_dropped),
    ] {
        metrics::counter!("tandem_overload_total", "event" => event).absolute(count);
    }
    gauge("tandem_ban_sources", counts.guard.remembered as f64);
    metrics::counter!("tandem_bans_total").absolute(counts.guard.bans);
    for (why, count) in [
        ("banned", counts.guard.banned),
        ("unproven-budget", counts.guard.over_budget),
        ("unacknowledged", counts.guard.invites),
        ("wrong-proof", counts.guard.failures),
        ("line-left-out", counts.guard.untold),
    ] {
        metrics::counter!("tandem_sip_turned_away_total", "why" => why).absolute(count);
    }
    for (listener, count) in unread(&counts.udp) {
        let label = [("listener", listener.to_string())];
        metrics::counter!("tandem_sip_unread_total", &label).absolute(count);
    }
    for &(event, count) in &counts.net {
        match event {
            "connections" => gauge("tandem_sip_connections", count as f64),
            _ => metrics::counter!("tandem_sip_transport_total", "event" => event).absolute(count),
        }
    }
}

/// Four series for each trunk, and one more for each with which we register: names are the operator's.
fn trunk_states(trunks: &[TrunkStates]) {
    let show = |trunk: &str, targets: [(TargetState, usize); 4], registered: Option<bool>| {
        for (state, count) in targets {
            let labels = [
                ("trunk", trunk.to_owned()),
                ("state", state.name().to_owned()),
            ];
            metrics::gauge!("tandem_trunk_targets", &labels).set(count as f64);
        }
        if let Some(is) = registered {
            let label = [("trunk", trunk.to_owned())];
            metrics::gauge!("tandem_trunk_registered", &label).set(f64::from(u8::from(is)));
        }
    };
    let mut gone = TRUNKS.lock().clone();
    for trunk in trunks {
        gone.remove(&trunk.name);
        show(&trunk.name, trunk.targets, trunk.registered);
    }
    for name in gone {
        show(&name, TargetState::ALL.map(|state| (state, 0)), None);
    }
    TRUNKS
        .lock()
        .extend(trunks.iter().map(|it| it.name.clone()));
}

/// Queues and agents.
pub(super) fn center(center: &Snapshot) {
    let mut gone = SHOWN.lock().clone();
    for queue in &center.queues {
        gone.remove(&queue.name);
        show(queue);
    }
    for name in gone {
        let label = [("queue", name)];
        metrics::gauge!("tandem_queue_waiting", &label).set(0.0);
        metrics::gauge!("tandem_queue_longest_wait_seconds", &label).set(0.0);
    }
    let names = center.queues.iter().map(|queue| queue.name.clone());
    SHOWN.lock().extend(names);
    let count = |state: &'static str, among: &dyn Fn(&crate::center::AgentSnapshot) -> bool| {
        let count = center.agents.iter().filter(|agent| among(agent)).count();
        metrics::gauge!("tandem_agents", "state" => state).set(count as f64);
    };
    for state in AgentState::ALL {
        count(state.name(), &|it| it.reachable && it.state == state);
    }
    count("unreachable", &|it| !it.reachable);
}

fn show(queue: &QueueSnapshot) {
    let label = [("queue", queue.name.clone())];
    let longest = queue.waiting.iter().map(|it| it.waited).max();
    let longest = longest.unwrap_or_default().as_secs_f64();
    metrics::gauge!("tandem_queue_waiting", &label).set(queue.waiting.len() as f64);
    metrics::gauge!("tandem_queue_longest_wait_seconds", &label).set(longest);
    metrics::counter!("tandem_queue_joined_total", &label).absolute(queue.joined);
    metrics::counter!("tandem_queue_assigned_total", &label).absolute(queue.assigned);
    metrics::counter!("tandem_queue_abandoned_total", &label).absolute(queue.abandoned);
    metrics::counter!("tandem_queue_expired_total", &label).absolute(queue.expired);
    metrics::counter!("tandem_queue_refused_total", &label).absolute(queue.refused);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallId;
    use crate::center::{Center, Input, QueueConfig};

    /// What a scrape shows after `told`.
    fn scrape(told: impl Fn()) -> String {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            crate::telemetry::describe();
            told();
        });
        recorder.handle().render()
    }

    #[test]
    fn the_gauge_of_a_queue_that_is_gone_falls_to_zero() {
        let now = clock::Now::ZERO;
        let mut one = Center::new();
        let configure = Input::Configure {
            queues: vec![QueueConfig::named("vanishing")],
            agents: Vec::new(),
        };
        one.handle(now, configure);
        let (call, queue) = (CallId(1), "vanishing".to_owned());
        one.handle(
            now,
            Input::Join {
                call,
                queue,
                priority: 0,
                max_wait: None,
            },
        );
        let before = one.snapshot(now);
        let line = "tandem_queue_waiting{queue=\"vanishing\"}";
        let first = scrape(|| center(&before));
        assert!(first.contains(&format!("{line} 1")), "{first}");
        let later = scrape(|| {
            center(&before);
            center(&Snapshot::default());
        });
        assert!(later.contains(&format!("{line} 0")), "{later}");
    }

    #[test]
    fn every_metric_that_a_scrape_shows_has_a_help_text() {
        let told = Counts {
            trunks: vec![("acme".to_owned(), 2)],
            net: vec![("received", 7), ("connections", 3)],
            trunk_states: vec![TrunkStates {
                name: "acme".to_owned(),
                targets: TargetState::ALL
                    .map(|state| (state, usize::from(state == TargetState::Down))),
                registered: Some(true),
            }],
            ..Counts::default()
        };
        let shown = scrape(|| {
            counts(&told);
            center(&Center::new().snapshot(clock::Now::ZERO));
        });
        let types = shown
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        let names: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        assert!(names.len() > 8, "{shown}");
        for name in names {
            assert!(
                shown.contains(&format!("# HELP {name} ")),
                "{name}: {shown}"
            );
        }
        assert!(
            shown.contains("tandem_trunk_calls{trunk=\"acme\"} 2"),
            "{shown}"
        );
        assert!(shown.contains("tandem_sip_connections 3"), "{shown}");
        let line = |state: &str, count: u8| {
            let line = format!("tandem_trunk_targets{{trunk=\"acme\",state=\"{state}\"}} {count}");
            assert!(shown.contains(&line), "{line}: {shown}");
        };
        line("down", 1);
        line("up", 0);
        assert!(
            shown.contains("tandem_trunk_registered{trunk=\"acme\"} 1"),
            "{shown}"
        );
        // A trunk that a reload takes away reads zero.
        let later = scrape(|| {
            counts(&told);
            counts(&Counts::default());
        });
        let zero = "tandem_trunk_targets{trunk=\"acme\",state=\"down\"} 0";
        assert!(later.contains(zero), "{later}");
        assert!(
            shown.contains("tandem_sip_transport_total{event=\"received\"} 7"),
            "{shown}"
        );
    }
}
