//! What the service manager is told (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! Without a service manager nothing is told. The watchdog is fed only while the control thread
//! answers, so one that is stuck is restarted.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::shard::ShardHandle;

/// Calls are taken from now on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload has begun; [`ready`] ends it.
pub(super) fn reloading() {
    if let Ok(since) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, since]);
    }
}

/// The server drains.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog, if there is one, twice within its time, until `stop`.
pub(super) async fn feed_watchdog(shard: ShardHandle, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        if answers(&shard, limit / 2).await {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the control thread does not answer");
        }
        tokio::select! {
            () = tokio::time::sleep(limit / 3) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn answers(shard: &ShardHandle, within: Duration) -> bool {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let asked = async {
        shard
            .tell(move |_, _| {
                // Whoever asked has given up: then it is too late anyway.
                let _ = reply.send(());
            })
            .await;
        answer.await.is_ok()
    };
    tokio::time::timeout(within, asked).await.unwrap_or(false)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
