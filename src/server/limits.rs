//! What the system allows the process: told at start, before a call finds out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::io::media::MediaConfig;

/// Takes as many open files as the system lets the process have, and says so when that is too few for
/// every port of the media plane: a port has two sockets.
pub(super) fn claim_files(media: &MediaConfig) {
    let ports = usize::from(media.workers).saturating_mul(media.worker.ports_max);
    let wanted = u64::try_from(ports.saturating_mul(2)).unwrap_or(u64::MAX);
    let wanted = wanted.saturating_add(FILES_BESIDE);
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
            "fewer open files are permitted than all media ports want: calls beyond will be refused \
             (media-no-socket); raise LimitNOFILE or lower limits.calls"
        );
    }
}

/// Listeners, connections, the database, files of prompts and recordings.
const FILES_BESIDE: u64 = 2_048;
