//! Recordings from configuration to record: what the recorder is told, and what becomes of what it tells.

use std::path::Path;

use anyhow::Context;
use clock::Now;
use media::file::seal::Key;
use tokio::sync::mpsc::Receiver;

use super::shard::ShardHandle;
use crate::call::CallId;
use crate::config::{Config, Recording, RecordingFormat};
use crate::control::{Control, RecordingSetup};
use crate::io::record::{
    Ending, Format, Hole, Recorded, RecorderConfig, RecordingEvent, RecordingId, Sync,
};
use crate::store::{HoleRow, Record, RecordingRow, Writer, lost};

/// How the recorder keeps recordings, with the key that the configuration names.
pub(super) fn recorder(config: &Config, folder: &Path) -> anyhow::Result<RecorderConfig> {
    let recording = &config.recording;
    let key = recording.key_file.as_deref().map(read_key).transpose()?;
    Ok(RecorderConfig {
        format: match recording.format {
            RecordingFormat::Wav => Format::Wav,
            RecordingFormat::Opus => Format::Opus {
                bitrate: recording.bitrate,
            },
        },
        key,
        sync: if recording.sync {
            Sync::AtEnd
        } else {
            Sync::Never
        },
        length_max: recording.length_max,
        ..RecorderConfig::new(folder.to_owned())
    })
}

/// Reads the key in a file; what the file holds is not shown.
fn read_key(file: &Path) -> anyhow::Result<Key> {
    let text = std::fs::read_to_string(file);
    let key = text.map_err(anyhow::Error::from);
    let key = key.and_then(|text| Key::from_hex(&text).map_err(anyhow::Error::from));
    key.with_context(|| format!("recording.key_file {}", file.display()))
}

/// What control knows of it.
pub(super) fn setup(recording: &Recording) -> RecordingSetup {
    RecordingSetup {
        format: match recording.format {
            RecordingFormat::Wav => "wav",
            RecordingFormat::Opus => "opus",
        },
        sealed: recording.key_file.is_some(),
        rate_max: recording.rate_max,
    }
}

/// Tells control and the store what becomes of recordings, until the recorder is gone.
pub(super) async fn watch(
    mut events: Receiver<RecordingEvent>,
    control: ShardHandle,
    writer: Writer,
) {
    while let Some(event) = events.recv().await {
        match event {
            RecordingEvent::Stalled { id, path } => {
                metrics::counter!("tandem_recordings_disk_full_total").increment(1);
                let file = path.display().to_string();
                let call = CallId(id.call);
                tracing::error!(
                    %call,
                    file,
                    id = "recording-disk-full",
                    "the disk has no room: the recording has a hole from here on"
                );
                let told = move |control: &mut Control, now: Now| {
                    control.recording_stalled(now, call, file)
                };
                control.tell(told).await;
            }
            RecordingEvent::Resumed { id, path } => {
                let (call, file) = (CallId(id.call), path.display());
                tracing::warn!(%call, %file, "the disk has room again: the recording goes on");
            }
            RecordingEvent::Ended(recorded) => {
                told(&recorded);
                let row = Record::Recording(Box::new(row(&recorded)));
                if writer.write(row).await.is_err() {
                    lost("the store has stopped");
                }
            }
        }
    }
}

fn told(recorded: &Recorded) {
    let (call, file) = (CallId(recorded.id.call), recorded.path.display());
    let (seconds, lost_ms) = (recorded.length.as_secs(), recorded.missing.as_millis());
    metrics::counter!("tandem_recordings_total").increment(1);
    let lost = u64::try_from(lost_ms).unwrap_or(u64::MAX);
    metrics::counter!("tandem_recordings_lost_milliseconds_total").increment(lost);
    let ending = recorded.ending.name();
    match &recorded.ending {
        Ending::Complete if lost_ms == 0 => tracing::info!(%call, %file, seconds, "recorded"),
        Ending::Failed(why) => {
            tracing::error!(%call, %file, seconds, lost_ms, ending, why, "recorded");
        }
        _ => tracing::warn!(%call, %file, seconds, lost_ms, ending, "recorded"),
    }
}

fn row(recorded: &Recorded) -> RecordingRow {
    let millis = |samples: u64| {
        let ms = u128::from(samples) * 1_000 / u128::from(recorded.rate.max(1));
        i64::try_from(ms).unwrap_or(i64::MAX)
    };
    let hole = |hole: &Hole| HoleRow {
        at: millis(hole.at),
        lasts: millis(hole.samples),
        why: hole.why.name().to_owned(),
    };
    let holes: Vec<HoleRow> = recorded.holes.iter().map(hole).collect();
    let span = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let RecordingId { call, part } = recorded.id;
    RecordingRow {
        file: recorded.path.display().to_string(),
        call_id: CallId(call).to_string(),
        part: part.into(),
        began_at: recorded.began_ms,
        length_ms: span(recorded.length),
        rate: recorded.rate.into(),
        lost_ms: span(recorded.missing),
        holes: RecordingRow::holes_text(&holes),
        key_id: recorded.sealed_by.map(|key| key.to_string()),
        ending: recorded.ending.name().to_owned(),
    }
}
