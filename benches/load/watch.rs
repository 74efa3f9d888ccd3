//! What the server says and uses while it is flooded.

use std::time::{Duration, Instant};

use crate::prison::Prison;
use crate::torrents::Pace;

#[derive(Default)]
pub(crate) struct Seen {
    /// The most connections that it counted.
    pub(crate) connections: u64,
    /// Resident memory every ten seconds.
    pub(crate) resident: Vec<u64>,
}

/// Looks every second until the pace ends.
pub(crate) fn run(pace: &Pace, prison: &Prison) -> Seen {
    let mut seen = Seen::default();
    let began = Instant::now();
    while pace.goes_on() {
        let metrics = prison.metrics();
        let line = metrics
            .lines()
            .find_map(|it| it.strip_prefix("tandem_sip_connections "));
        let connections = line
            .and_then(|it| it.trim().parse::<f64>().ok())
            .unwrap_or(0.0);
        seen.connections = seen.connections.max(connections as u64);
        if began.elapsed() >= Duration::from_secs(10 * seen.resident.len() as u64) {
            seen.resident.push(prison.memory("VmRSS"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    seen
}
