use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::file::seal::{self, Key};
use media::tap::{TAP_SAMPLES, Tap, TapState};
use tokio::sync::mpsc::Receiver;

use super::disk::Disk;
use super::note::Note;
use super::track::Track;
use super::{
    Ending, Format, OPEN, Order, RING_FRAMES, Recorded, Recorder, RecorderConfig, RecordingEvent,
    RecordingId, Why,
};

struct Scene {
    folder: PathBuf,
    recorder: Recorder,
    events: Receiver<RecordingEvent>,
}

const OPUS: Format = Format::Opus { bitrate: 24_000 };

impl Scene {
    fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    fn with(name: &str, change: impl Fn(&mut RecorderConfig)) -> Self {
        let folder = format!("tandem-record-{}-{name}", std::process::id());
        let mut config = RecorderConfig::new(std::env::temp_dir().join(folder));
        change(&mut config);
        let folder = config.folder.clone();
        let _ = std::fs::remove_dir_all(&folder);
        let (recorder, events) = Recorder::start(config).unwrap();
        Self {
            folder,
            recorder,
            events,
        }
    }

    fn order(id: u64, path: &str, rate: u32) -> Order {
        Order {
            id: RecordingId { call: id, part: 1 },
            path: path.into(),
            rate,
            key: None,
            began_ms: 1_700_000_000_000,
        }
    }

    fn record(&self, id: u64, path: &str, ring: usize) -> Box<Tap> {
        let (tap, reader) = Tap::new(8_000, ring);
        self.recorder
            .record(Self::order(id, path, 8_000), reader)
            .unwrap();
        tap
    }

    fn next(&mut self) -> Recorded {
        match self.events.blocking_recv().unwrap() {
            RecordingEvent::Ended(recorded) => *recorded,
            other => panic!("{other:?}"),
        }
    }

    fn read(&self, path: &Path) -> (hound::WavSpec, Vec<i16>) {
        read(&self.folder.join(path))
    }

    fn open_notes(&self) -> usize {
        std::fs::read_dir(self.folder.join(OPEN)).unwrap().count()
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

/// Span `n` of the wheel: the caller says `n`, and hears `-n`. Whether there was room.
fn offer(tap: &mut Tap, n: i16) -> bool {
    let at = u64::try_from(n).unwrap();
    let (left, right) = ([n; TAP_SAMPLES], [-n; TAP_SAMPLES]);
    tap.offer(at, (8_000, &left), (8_000, &right)) == 0
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
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
    assert_eq!(
        (&recorded.ending, recorded.holes.len()),
        (&Ending::Complete, 0)
    );
    assert_eq!(
        (recorded.length, recorded.began_ms),
        (ms(2_400), 1_700_000_000_000)
    );
    let (spec, samples) = scene.read(&recorded.path);
    assert_eq!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample),
        (2, 8_000, 16)
    );
    let wanted = (1..=120_i16).flat_map(|n| [n, -n].repeat(TAP_SAMPLES));
    assert!(samples.iter().copied().eq(wanted));
    assert_eq!(scene.open_notes(), 0);
}

#[test]
fn an_hour_that_the_wheel_counted_is_an_hour_in_the_file() {
    for (format, rate, seconds) in [(Format::Wav, 8_000, 3_600), (OPUS, 16_000, 360)] {
        let mut scene = Scene::with("hour", |config| config.format = format);
        let (mut tap, reader) = Tap::new(rate, 9_000);
        let order = Scene::order(1, "hour", rate);
        scene.recorder.record(order, reader).unwrap();
        let (silence, mut left_out) = ([7; 320], 0);
        let (side, _) = silence.split_at(rate as usize / 50);
        for at in 0..50 * seconds {
            // A worker that now and then is too late for some frames.
            if (4_000..4_009).contains(&(at % 9_000)) {
                left_out += 1;
                continue;
            }
            while tap.room() < 6 {
                std::thread::yield_now();
            }
            assert_eq!(tap.offer(at, (rate, side), (rate, side)), 0);
        }
        drop(tap);
        let recorded = scene.next();
        assert_eq!(recorded.ending, Ending::Complete);
        let off = recorded.length.abs_diff(Duration::from_secs(seconds));
        assert!(off <= ms(20), "{format:?}: {:?}", recorded.length);
        assert_eq!(recorded.missing, ms(20 * left_out));
    }
}

#[test]
fn frames_the_ring_had_no_room_for_are_silence_of_their_length_and_a_hole() {
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
        .record(Scene::order(1, "gap.wav", 8_000), reader)
        .unwrap();
    let recorded = scene.next();
    assert_eq!(
        (recorded.missing, recorded.length),
        (ms(7 * 20), ms(17 * 20))
    );
    let holes: Vec<_> = recorded
        .holes
        .iter()
        .map(|it| (it.at, it.samples, it.why))
        .collect();
    assert_eq!(holes, [(0, 320, Why::Lost), (1_600, 800, Why::Lost)]);
    let (_, samples) = scene.read(&recorded.path);
    let heard: Vec<i16> = samples.chunks(320).map(|frame| frame[0]).collect();
    assert_eq!(
        heard,
        [0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0, 16, 17]
    );
}

#[test]
fn a_pause_is_silence_of_its_length_a_hole_and_nobodys_loss() {
    for format in [Format::Wav, OPUS] {
        let mut scene = Scene::with("pause", |config| config.format = format);
        let mut tap = scene.record(1, "pause", RING_FRAMES);
        for n in 0..100 {
            let paused = (40..70).contains(&n);
            tap.stand(TapState {
                paused,
                masked: false,
            });
            assert!(offer(&mut tap, n));
        }
        drop(tap);
        let recorded = scene.next();
        let hole = (40 * 160, 30 * 160, Why::Paused);
        let holes: Vec<_> = recorded
            .holes
            .iter()
            .map(|it| (it.at, it.samples, it.why))
            .collect();
        assert_eq!((holes, recorded.missing), (vec![hole], ms(0)));
        assert_eq!(recorded.length, ms(2_000));
        if format == Format::Wav {
            let (_, samples) = scene.read(&recorded.path);
            let heard = samples.chunks(320).map(|frame| frame[0]);
            let wanted = (0..100).map(|n| if (40..70).contains(&n) { 0 } else { n });
            assert!(heard.eq(wanted));
        }
    }
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
    let length_max = ms(100);
    let mut scene = Scene::with("long", |config| config.length_max = length_max);
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
        (Ending::Stopped, ms(20))
    );
}

/// A recording of 75 spans that nobody closed, as after `kill -9`; its pause from span 60 on is noted.
fn crashed(folder: &Path, name: &str, format: Format, key: Option<&Key>) {
    let disk = Disk::create(&folder.join(name), key).unwrap();
    let mut track = Track::new(disk, format, 8_000).unwrap();
    let order = Scene::order(5, name, 8_000);
    let mut note = Note::make(&folder.join(OPEN), Path::new(name), &order);
    for n in 0..75_i16 {
        track
            .push(&[100 * n; TAP_SAMPLES], &[0; TAP_SAMPLES])
            .unwrap();
        track.flush(n % 50 == 49).unwrap();
    }
    note.hole(&super::Hole {
        at: 60 * 160,
        samples: 160,
        why: Why::Paused,
    });
    // What the system has stays, and nobody writes the last header.
}

#[test]
fn a_wav_that_nobody_closed_plays_and_is_mended_and_told_at_the_next_start() {
    let scene = Scene::new("crash");
    crashed(&scene.folder, "crashed.wav", Format::Wav, None);
    let path = scene.folder.join("crashed.wav");
    let (_, before) = read(&path);
    assert_eq!(before.len(), 50 * 320, "plays to its last whole second");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([1, 2, 3]);
    std::fs::write(&path, bytes).unwrap();
    let (_again, mut told) = Recorder::start(RecorderConfig::new(scene.folder.clone())).unwrap();
    assert_eq!(read(&path).1.len(), 75 * 320);
    assert_eq!(scene.open_notes(), 0);
    let RecordingEvent::Ended(recorded) = told.blocking_recv().unwrap() else {
        panic!("not told");
    };
    assert_eq!((recorded.id.call, &recorded.ending), (5, &Ending::Crashed));
    assert_eq!(
        (recorded.length, recorded.began_ms),
        (ms(1_500), 1_700_000_000_000)
    );
    let hole = &recorded.holes[0];
    assert_eq!(
        (hole.at, hole.samples, hole.why),
        (9_600, 2_400, Why::Paused)
    );
}

#[test]
fn an_ogg_that_nobody_closed_keeps_its_whole_pages() {
    let scene = Scene::new("crash-ogg");
    crashed(&scene.folder, "crashed.opus", OPUS, None);
    let path = scene.folder.join("crashed.opus");
    let whole = std::fs::metadata(&path).unwrap().len();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"OggS and what a torn write left");
    std::fs::write(&path, bytes).unwrap();
    let (samples, rate) = super::mend_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
    assert_eq!((samples, rate), (48_000 - 312, 48_000));
}

#[test]
fn a_sealed_recording_opens_with_its_key_alone_also_when_a_crash_cut_it() {
    let ours = Key::new([1; 32]);
    for (name, format) in [("a.wav.enc", Format::Wav), ("a.opus.enc", OPUS)] {
        let mut scene = Scene::with("sealed", |config| {
            (config.format, config.key) = (format, Some(Key::new([1; 32])));
        });
        let mut tap = scene.record(1, name, RING_FRAMES);
        (0..100).for_each(|n| assert!(offer(&mut tap, n)));
        drop(tap);
        let recorded = scene.next();
        assert_eq!(recorded.sealed_by, Some(ours.id()));
        let sealed = std::fs::read(scene.folder.join(name)).unwrap();
        assert!(!sealed.windows(4).any(|it| it == b"RIFF" || it == b"OggS"));
        let mut nothing = Vec::new();
        let other = seal::open(&Key::new([2; 32]), &mut &sealed[..], &mut nothing);
        assert!(other.is_err() && nothing.is_empty());
        for (from, length) in [
            (&sealed[..], ms(2_000)),
            (&sealed[..sealed.len() - 30], ms(0)),
        ] {
            let mut plain = Vec::new();
            let opened = seal::open(&ours, &mut &from[..], &mut plain).unwrap();
            assert_eq!(opened.whole, !length.is_zero());
            if opened.whole {
                let out = scene.folder.join("plain");
                std::fs::write(&out, plain).unwrap();
                let (samples, rate) = super::mend_file(&out).unwrap();
                assert_eq!(super::length_of(samples, rate), length);
            }
        }
    }
}

#[test]
fn a_recording_with_a_key_of_its_own_opens_with_that_and_not_with_the_configured_one() {
    let mut scene = Scene::with("own-key", |config| config.key = Some(Key::new([1; 32])));
    let (mut tap, reader) = Tap::new(8_000, 10);
    let order = Order {
        key: Some(Key::new([9; 32])),
        ..Scene::order(1, "own.wav.enc", 8_000)
    };
    scene.recorder.record(order, reader).unwrap();
    offer(&mut tap, 1);
    drop(tap);
    assert_eq!(scene.next().sealed_by, Some(Key::new([9; 32]).id()));
    let sealed = std::fs::read(scene.folder.join("own.wav.enc")).unwrap();
    let open = |key: u8| seal::open(&Key::new([key; 32]), &mut &sealed[..], &mut io::sink());
    assert!(open(9).is_ok() && open(1).is_err());
}

#[test]
fn a_full_disk_is_told_as_one_and_what_waited_still_waits() {
    // Every write to /dev/full fails as on a full disk.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let disk = Disk::over(full.unwrap(), None).unwrap();
    let mut track = Track::new(disk, Format::Wav, 8_000).unwrap();
    for n in 0..3_u64 {
        track.push(&[1; TAP_SAMPLES], &[1; TAP_SAMPLES]).unwrap();
        let error = track.flush(true).unwrap_err();
        assert_eq!(super::ending_of(&error), Ending::DiskFull);
        assert_eq!(track.samples(), 160 * (n + 1));
    }
}
