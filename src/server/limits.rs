//! What the system allows the process: told at start, before a call finds out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::io::media::MediaConfig;

/// Takes as many open files as the system lets the process have, and says so when that is too few for
/// every port of the media plane, which has two sockets, and for every connection.
pub(super) fn claim_files(media: &MediaConfig, connections: u32) {
    let ports = usize::from(media.workers).saturating_mul(media.worker.ports_max);
    let wanted = u64::try_from(ports.saturating_mul(2)).unwrap_or(u64::MAX);
    let wanted = wanted.saturating_add(u64::from(connections) + FILES_BESIDE);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    if let Some(allowed) = allowed.filter(|&allowed| allowed < wanted) {
        tracing::warn!(
            wanted,
            allowed,
            ports,
            connections,
            "fewer open files are permitted than all media ports and connections want: calls beyond will be \
             refused (media-no-socket); raise LimitNOFILE or lower limits.calls or limits.connections"
        );
    }
}

/// Says so when the media plane has fewer ports than so many calls want, two each.
pub(super) fn compare_ports(calls: u32, media: &MediaConfig) {
    let held = calls_with_ports(media);
    if held < usize::try_from(calls).unwrap_or(usize::MAX) {
        tracing::warn!(
            calls,
            held,
            "there are media ports for fewer calls than limits.calls admits: calls beyond will be refused \
             (media-ports-exhausted, media-worker); raise rtp.workers, widen rtp.port_min to rtp.port_max, \
             or lower limits.calls"
        );
    }
}

/// For how many calls there are ports: of the workers, and in the range. A port is two numbers.
fn calls_with_ports(media: &MediaConfig) -> usize {
    let numbers = usize::from(media.ports.end() - media.ports.start()) + 1;
    let slots = usize::from(media.workers).saturating_mul(media.worker.ports_max);
    slots.min(numbers / 2) / 2
}

/// Listeners, connections of HTTP, the database, files of prompts and recordings.
const FILES_BESIDE: u64 = 2_048;

#[cfg(test)]
mod tests {
    use super::calls_with_ports;
    use crate::io::media::MediaConfig;

    #[test]
    fn calls_have_ports_as_far_as_the_workers_and_the_range_go() {
        let mut media = MediaConfig::at([127, 0, 0, 1].into(), 1);
        for (workers, ports_max, ports, calls) in [
            (1, 5_216, 20_000..=29_999, 2_500),
            (1, 5_216, 20_000..=59_999, 2_608),
            (2, 8_192, 20_000..=59_999, 8_192),
            (1, 16, 20_000..=20_001, 0),
        ] {
            (media.workers, media.worker.ports_max) = (workers, ports_max);
            media.ports = ports;
            assert_eq!(calls_with_ports(&media), calls);
        }
    }
}
