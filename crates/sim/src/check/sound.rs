//! Laws of sound: who is bridged hears the other within 300 ms, nobody hears himself, and nobody
//! hears a stranger.

use std::collections::{BTreeMap, BTreeSet};

use clock::Duration;
use media::dsp::ToneTrack;
use tandem::call::CallId;
use tandem::demo::phone::Heard;

/// Who was bridged with whom.
#[derive(Debug, Default)]
pub(crate) struct Sounds {
    /// Whom a host may have heard in its present call.
    partners: BTreeMap<usize, BTreeSet<usize>>,
    /// Who has been in a call of the server.
    rooms: BTreeMap<CallId, BTreeSet<usize>>,
}

/// From the bridge to the first frame that has the other's tone; the path's own delay comes on top.
pub(crate) const WITHIN: Duration = Duration::from_millis(300);

impl Sounds {
    /// Two hosts hear each other from now on.
    pub(crate) fn bridged(&mut self, call: CallId, caller: usize, callee: usize) {
        self.rooms.entry(call).or_default().extend([caller, callee]);
        self.partners.entry(caller).or_default().insert(callee);
        self.partners.entry(callee).or_default().insert(caller);
    }

    /// A host that rings speaks already, and another one waits.
    pub(crate) fn may_hear(&mut self, host: usize, early: usize) {
        self.partners.entry(host).or_default().insert(early);
    }

    /// Who has been in that call.
    pub(crate) fn room(&self, call: CallId) -> impl Iterator<Item = usize> {
        self.rooms.get(&call).into_iter().flatten().copied()
    }

    /// A host begins a new call.
    pub(crate) fn begins(&mut self, host: usize) {
        self.partners.remove(&host);
        for room in self.rooms.values_mut() {
            room.remove(&host);
        }
    }

    /// A host's call is over: what it heard must be its partners, and never itself.
    pub(crate) fn over(
        &self,
        host: usize,
        heard: &Heard,
        tone_of: impl Fn(usize) -> f32,
        own: f32,
    ) -> Option<String> {
        let partners = self.partners.get(&host);
        let mut tones = partners
            .into_iter()
            .flatten()
            .map(|partner| tone_of(*partner));
        let tones: Vec<f32> = tones.by_ref().collect();
        let loud = |track: &&ToneTrack| {
            track.frames_present > STRAY_FRAMES && track.peak_dbfs >= STRAY_DBFS
        };
        let echo = |track: &&ToneTrack| loud(track) && (own - track.hz).abs() < 0.5;
        if let Some(track) = heard.before.iter().find(echo) {
            return Some(format!(
                "host {host} heard itself before it was up: {track:?}"
            ));
        }
        for track in &heard.tones {
            if track.frames_present <= STRAY_FRAMES || track.peak_dbfs < STRAY_DBFS {
                continue;
            }
            let is = |hz: f32| (hz - track.hz).abs() < 0.5;
            let expected = tones.iter().any(|hz| is(*hz));
            if is(own) && !expected {
                return Some(format!("host {host} heard itself: {track:?}"));
            }
            if !expected {
                return Some(format!(
                    "host {host} heard a stranger: {track:?}, not {tones:?}"
                ));
            }
        }
        None
    }
}

/// Frames in which clicks at the edges of sounds may pass for a tone.
const STRAY_FRAMES: u32 = 2;

/// Below it the edges of lost and concealed frames may pass for a tone; phones speak at -12 dBFS.
const STRAY_DBFS: f32 = -18.0;
