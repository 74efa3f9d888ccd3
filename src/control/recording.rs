//! Recordings of calls: what they are called, who may change them, and what goes wrong with them.

use clock::Now;
use media::file::seal::Key;
use media::tap::TapFrame;
use rtrb::Consumer;

use super::{Control, Output, Refusal, What};
use crate::call::{Action, CallId, RecordAsk};

/// What recordings are called, and how much of the sound they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingSetup {
    /// How the name of their format ends a file's name.
    pub format: &'static str,
    /// Whether all are encrypted.
    pub sealed: bool,
    /// Samples per second at most: 8,000, 16,000 or 48,000.
    pub rate_max: u32,
}

impl Default for RecordingSetup {
    /// Wideband WAV.
    fn default() -> Self {
        Self {
            format: "wav",
            sealed: false,
            rate_max: 16_000,
        }
    }
}

impl RecordingSetup {
    /// The file of a recording, below the folder; `own_key` says that it has a key of its own.
    pub(super) fn file(&self, stem: &str, own_key: bool) -> String {
        let sealed = self.sealed || own_key;
        let sealed = if sealed { ".enc" } else { "" };
        format!("{stem}.{}{sealed}", self.format)
    }
}

/// A call's recordings so far.
#[derive(Debug, Default)]
pub(super) struct CallRecordings {
    count: u32,
    /// The first one's file.
    pub(super) first: Option<String>,
    /// The key that the next one is to have.
    key: Option<Key>,
}

impl Control {
    /// Starts or changes a call's recording; `false` if there is no such call. A recording that starts by
    /// this may have a key of its own.
    pub fn record(&mut self, now: Now, call: CallId, ask: RecordAsk, key: Option<Key>) -> bool {
        if let Some(slot) = self.calls.get_mut(&call)
            && ask == RecordAsk::Start
        {
            slot.recordings.key = key;
        }
        self.ask(now, call, Action::Record(ask))
    }

    /// The disk has no room for a recording.
    pub fn recording_stalled(&mut self, now: Now, call: CallId, file: String) {
        let why = Refusal::RecordingDiskFull { file }.explanation();
        if self.calls.contains_key(&call) {
            // The call is unharmed: no reason of its end.
            self.event(now, call, What::Trouble(why));
        }
    }

    pub(super) fn on_record(
        &mut self,
        now: Now,
        call: CallId,
        (frames, rate): (Consumer<TapFrame>, u32),
    ) {
        let setup = self.recording;
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let day = self.wall.at(now).strftime("%Y-%m-%d").to_string();
        let recordings = &mut slot.recordings;
        recordings.count += 1;
        let part = recordings.count;
        let key = recordings.key.clone();
        let name = match part {
            1 => format!("{day}/{call}"),
            // What begins anew, after a stop or at another leg, never overwrites what was.
            n => format!("{day}/{call}-{n}"),
        };
        let file = setup.file(&name, key.is_some());
        recordings.first.get_or_insert_with(|| file.clone());
        self.event(now, call, What::Recording { file: file.clone() });
        self.outputs.push_back(Output::Record {
            call,
            part,
            file,
            key,
            rate,
            frames,
        });
    }

    /// A key as events may tell it: itself, or `?` while a call's keys are masked.
    pub(super) fn key_shown(&self, call: CallId, key: char) -> char {
        let masked = self.calls.get(&call).is_some_and(|it| it.call.masks_keys());
        if masked { MASKED } else { key }
    }
}

/// What stands for a key that is not told.
const MASKED: char = '?';
