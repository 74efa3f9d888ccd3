use std::path::{Path, PathBuf};
use std::time::Duration;

use media::tap::{TAP_SAMPLES, Tap};
use tokio::sync::mpsc::Receiver;

use super::{Ending, OPEN, RING_FRAMES, Recorded, Recorder, RecorderConfig, RecordingId, wav};

struct Scene {
    folder: PathBuf,
    recorder: Recorder,
    ended: Receiver<Recorded>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = format!("tandem-record-{}-{name}", std::process::id());
        Self::with(RecorderConfig::new(std::env::temp_dir().join(folder)))
    }

    fn with(config: RecorderConfig) -> Self {
        let folder = config.folder.clone();
        let _ = std::fs::remove_dir_all(&folder);
        let (recorder, ended) = Recorder::start(config).unwrap();
        Self {
            folder,
            recorder,
            ended,
        }
    }

    fn record(&self, id: u64, path: &str, ring: usize) -> Box<Tap> {
        let (tap, reader) = Tap::new(8_000, ring);
        self.recorder
            .record(RecordingId(id), path.into(), reader)
            .unwrap();
        tap
    }

    fn next(&mut self) -> Recorded {
        self.ended.blocking_recv().unwrap()
    }

    fn read(&self, path: &Path) -> (hound::WavSpec, Vec<i16>) {
        read(&self.folder.join(path))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn read(path: &Path) -> (hound::WavSpec, Vec<i16>) {
    let reader = hound::WavReader::open(path).unwrap();
    (
        reader.spec(),
        reader.into_samples().map(Result::unwrap).collect(),
    )
}

/// Frame `n`: the caller says `n`, and hears `-n`.
fn offer(tap: &mut Tap, n: i16) -> bool {
    let at = u64::try_from(n).unwrap();
    let (left, right) = ([n; TAP_SAMPLES], [-n; TAP_SAMPLES]);
    tap.offer(at, (8_000, &left), (8_000, &right)) == 0
}

#[test]
fn the_caller_is_left_what_is_heard_is_right_and_not_a_sample_is_missing() {
    let mut scene = Scene::new("whole");
    let mut tap = scene.record(1, "2026/a.wav", RING_FRAMES);
    for n in 1..=120 {
        assert!(offer(&mut tap, n));
    }
    drop(tap);
    let recorded = scene.next();
    assert_eq!((recorded.ending, recorded.gaps), (Ending::Complete, 0));
    assert_eq!(recorded.length, Duration::from_millis(2_400));
    let (spec, samples) = scene.read(&recorded.path);
    assert_eq!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample),
        (2, 8_000, 16)
    );
    let wanted = (1..=120_i16).flat_map(|n| [n, -n].repeat(TAP_SAMPLES));
    assert!(samples.iter().copied().eq(wanted));
    assert_eq!(
        std::fs::read_dir(scene.folder.join(OPEN)).unwrap().count(),
        0
    );
}

#[test]
fn frames_the_ring_had_no_room_for_are_silence_of_their_length_and_counted() {
    let mut scene = Scene::new("gap");
    let (mut tap, mut reader) = Tap::new(8_000, 10);
    for n in 1..=15 {
        assert_eq!(offer(&mut tap, n), n <= 10);
    }
    assert_eq!(
        [reader.pop().unwrap().index, reader.pop().unwrap().index],
        [0, 1]
    );
    assert!(offer(&mut tap, 16) && offer(&mut tap, 17));
    drop(tap);
    scene
        .recorder
        .record(RecordingId(1), "gap.wav".into(), reader)
        .unwrap();
    let recorded = scene.next();
    assert_eq!(
        (recorded.gaps, recorded.missing),
        (2, Duration::from_millis(7 * 20))
    );
    assert_eq!(recorded.length, Duration::from_millis(17 * 20));
    let (_, samples) = scene.read(&recorded.path);
    let heard: Vec<i16> = samples.chunks(320).map(|frame| frame[0]).collect();
    assert_eq!(
        heard,
        [0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0, 16, 17]
    );
}

#[test]
fn two_recordings_of_one_name_become_two_files_and_no_name_leads_out() {
    let mut scene = Scene::new("names");
    for id in 1..=3 {
        drop(scene.record(id, "same.wav", 1));
    }
    let mut paths: Vec<PathBuf> = (0..3).map(|_| scene.next().path).collect();
    paths.sort();
    let wanted = ["same-2.wav", "same-3.wav", "same.wav"].map(PathBuf::from);
    assert_eq!(paths, wanted);
    for path in ["../out.wav", "/tmp/out.wav", ".open/x", "a/../../b"] {
        drop(scene.record(9, path, 1));
        assert!(matches!(scene.next().ending, Ending::Failed(_)), "{path}");
    }
}

#[test]
fn a_recording_stops_at_its_longest_length_and_when_the_recorder_does() {
    let folder = std::env::temp_dir().join(format!("tandem-record-{}-long", std::process::id()));
    let length_max = Duration::from_millis(100);
    let mut scene = Scene::with(RecorderConfig {
        length_max,
        ..RecorderConfig::new(folder)
    });
    let mut tap = scene.record(1, "long.wav", 100);
    for n in 0..20 {
        offer(&mut tap, n);
    }
    let recorded = scene.next();
    assert_eq!(
        (recorded.ending, recorded.length),
        (Ending::TooLong, length_max)
    );
    let mut other = scene.record(2, "stopped.wav", 100);
    offer(&mut other, 1);
    scene.recorder.stop();
    let recorded = scene.next();
    assert_eq!(
        (recorded.ending, recorded.length),
        (Ending::Stopped, Duration::from_millis(20))
    );
}

#[test]
fn a_file_that_nobody_closed_plays_and_is_mended_at_the_next_start() {
    let scene = Scene::new("crash");
    let path = scene.folder.join("crashed.wav");
    let mut wav = wav::Wav::create(&path).unwrap();
    for n in 0..75 {
        wav.push(&[n; TAP_SAMPLES], &[0; TAP_SAMPLES]).unwrap();
    }
    // As after kill -9: what the system has stays, and nobody writes the last header.
    drop(wav);
    let (_, before) = read(&path);
    assert_eq!(before.len(), 50 * 320, "plays to its last whole second");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([1, 2, 3]);
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(scene.folder.join(OPEN).join("5.path"), "crashed.wav").unwrap();
    let (_again, _) = Recorder::start(RecorderConfig::new(scene.folder.clone())).unwrap();
    assert_eq!(read(&path).1.len(), 75 * 320);
    assert_eq!(
        std::fs::read_dir(scene.folder.join(OPEN)).unwrap().count(),
        0
    );
}

#[test]
fn a_full_disk_is_told_as_one() {
    // Every write to /dev/full fails as on a full disk.
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let error = wav::Wav::over(full).unwrap_err();
    assert_eq!(super::ending_of(&error), Ending::DiskFull);
}
