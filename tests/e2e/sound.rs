//! Sound as it was received: RTP laid on its own time line, tones measured, music recognised.

use anyhow::{Context, Result, ensure};
use media::FRAME;
use media::codec::g711::Law;
use media::dsp::{Goertzel, ToneMeter, level};
use media::rtp::Packet;

/// Samples a second.
pub(crate) const RATE: usize = 8_000;

/// The level of every tone that a phone makes here, in dBFS.
pub(crate) const TONE_DBFS: f32 = -12.0;

/// A tone that measures less in 20 ms is not there.
const PRESENT_DBFS: f32 = -24.0;

/// What may be left of a tone that must not be heard: below the quantisation noise of G.711.
const ABSENT_DBFS: f32 = -45.0;

/// One RTP packet.
#[derive(Clone, Debug)]
pub(crate) struct RtpPacket {
    /// When it arrived, in seconds; the origin is the capture's or the ear's.
    pub(crate) at: f64,
    pub(crate) payload_type: u8,
    pub(crate) ssrc: u32,
    pub(crate) time: u32,
    pub(crate) payload: Vec<u8>,
}

impl RtpPacket {
    /// `None` for what is no RTP: RTCP, SIP, keep-alives.
    pub(crate) fn parse(at: f64, bytes: &[u8]) -> Option<Self> {
        let packet = Packet::parse(bytes).ok()?;
        let header = packet.header();
        // RTCP's packet types 200 to 207 read as 72 to 79 with the marker (RFC 5761 §4).
        if (72..80).contains(&header.payload_type) || packet.payload().len() > 480 {
            return None;
        }
        Some(Self {
            at,
            payload_type: header.payload_type,
            ssrc: header.ssrc,
            time: header.time.0,
            payload: packet.payload().to_vec(),
        })
    }
}

/// What one party received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream(pub(crate) Vec<RtpPacket>);

/// Audio with the time of its first sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sound {
    pub(crate) begins: f64,
    pub(crate) samples: Vec<i16>,
}

impl Stream {
    /// The audio by the packets' timestamps; what did not arrive is silence. A second SSRC, if one
    /// follows, goes on where the first ended.
    pub(crate) fn sound(&self) -> Sound {
        let mut samples: Vec<i16> = Vec::new();
        let mut begins = f64::INFINITY;
        // The SSRC, a packet's time, and where that time lies among the samples.
        let mut origin: Option<(u32, u32, i64)> = None;
        for packet in &self.0 {
            let law = match packet.payload_type {
                0 => Law::Mu,
                8 => Law::A,
                _ => continue,
            };
            let (time, place) = match origin {
                Some((ssrc, time, place)) if ssrc == packet.ssrc => (time, place),
                _ => (packet.time, samples.len() as i64),
            };
            // Timestamps wrap: only their distance means something.
            let offset = place + i64::from(packet.time.wrapping_sub(time).cast_signed());
            origin = Some((packet.ssrc, packet.time, offset));
            // A late one from before the beginning, or a leap of more than ten minutes.
            let Ok(offset) = usize::try_from(offset) else {
                continue;
            };
            if offset > samples.len() + 600 * RATE {
                continue;
            }
            let end = offset + packet.payload.len();
            if samples.len() < end {
                samples.resize(end, 0);
            }
            law.decode(&packet.payload, &mut samples[offset..end]);
            begins = begins.min(packet.at - offset as f64 / RATE as f64);
        }
        Sound { begins, samples }
    }

    /// The longest time between two arrivals of audio, in milliseconds.
    pub(crate) fn longest_pause_ms(&self, from: f64, to: f64) -> f64 {
        let times: Vec<f64> = self
            .0
            .iter()
            .map(|it| it.at)
            .filter(|at| (from..=to).contains(at))
            .collect();
        let pairs = times.windows(2).map(|pair| pair[1] - pair[0]);
        pairs.fold(0.0, f64::max) * 1e3
    }
}

/// A tone that was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// When it began, on the sound's clock.
    pub(crate) first: f64,
    /// When it was last there.
    pub(crate) last: f64,
    /// Its middle level, in dBFS.
    pub(crate) dbfs: f32,
    /// The longest time without it between first and last, in milliseconds.
    pub(crate) gap_ms: usize,
}

impl Sound {
    /// A WAV file, its channel `channel`.
    pub(crate) fn wav(file: &std::path::Path, channel: usize) -> Result<Self> {
        let mut reader =
            hound::WavReader::open(file).with_context(|| file.display().to_string())?;
        let spec = reader.spec();
        ensure!(
            spec.sample_rate == 8_000 && spec.bits_per_sample == 16,
            "{}: {spec:?}",
            file.display()
        );
        let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>()?;
        let samples = samples
            .into_iter()
            .skip(channel)
            .step_by(usize::from(spec.channels))
            .collect();
        Ok(Self {
            begins: 0.0,
            samples,
        })
    }

    /// When it ends, on its own clock.
    pub(crate) fn ends(&self) -> f64 {
        self.begins + self.secs()
    }

    /// How long it is.
    pub(crate) fn secs(&self) -> f64 {
        self.samples.len() as f64 / RATE as f64
    }

    /// The part between two times, by whole frames.
    pub(crate) fn between(&self, from: f64, to: f64) -> Self {
        let index = |at: f64| {
            let frames = ((at - self.begins).max(0.0) * 50.0).round() as usize;
            frames.saturating_mul(FRAME)
        };
        let (from, to) = (
            index(from).min(self.samples.len()),
            index(to).min(self.samples.len()),
        );
        Self {
            begins: self.begins + from as f64 / RATE as f64,
            samples: self.samples[from..to.max(from)].to_vec(),
        }
    }

    /// The tone of `hz`, if it is there for 60 ms or more.
    pub(crate) fn tone(&self, hz: f32) -> Option<Heard> {
        let levels = self.levels(hz);
        let there = |level: &f32| *level >= PRESENT_DBFS;
        let first = levels
            .windows(3)
            .position(|three| three.iter().all(there))?;
        let last = levels.iter().rposition(there)?;
        let (mut run, mut gap) = (0, 0);
        for level in &levels[first..=last] {
            run = if there(level) { 0 } else { run + 1 };
            gap = gap.max(run);
        }
        let mut middle: Vec<f32> = levels[first..=last].to_vec();
        middle.sort_by(f32::total_cmp);
        let secs = |frame: usize| frame as f64 * 0.02;
        Some(Heard {
            first: self.begins + secs(first),
            last: self.begins + secs(last + 1),
            dbfs: middle[middle.len() / 2],
            gap_ms: gap * 20,
        })
    }

    /// Requires that the tone of `hz` is there, at its level, without a gap longer than `gap_ms`.
    pub(crate) fn hears(&self, who: &str, hz: f32, gap_ms: usize) -> Result<Heard> {
        let heard = self
            .tone(hz)
            .with_context(|| format!("{who} never hears {hz} Hz in {:.1} s", self.secs()))?;
        ensure!(
            (heard.dbfs - TONE_DBFS).abs() <= 1.5,
            "{who} hears {hz} Hz at {:.1} dBFS, want {TONE_DBFS}",
            heard.dbfs
        );
        ensure!(
            heard.gap_ms <= gap_ms,
            "{who} hears {hz} Hz with a gap of {} ms",
            heard.gap_ms
        );
        Ok(heard)
    }

    /// Requires that the tone of `hz` is nowhere.
    pub(crate) fn never_hears(&self, who: &str, hz: f32) -> Result<()> {
        let goertzel = Goertzel::new(hz, RATE as u32);
        // 100 ms hold whole cycles of every tone that is a multiple of 10 Hz.
        let loudest = self
            .samples
            .chunks_exact(RATE / 10)
            .map(|chunk| goertzel.dbfs(chunk))
            .fold(level::FLOOR_DBFS, f32::max);
        ensure!(
            loudest < ABSENT_DBFS,
            "{who} hears its own {hz} Hz at {loudest:.1} dBFS"
        );
        Ok(())
    }

    fn levels(&self, hz: f32) -> Vec<f32> {
        let mut meter = ToneMeter::new(&[hz], PRESENT_DBFS);
        let (frames, _) = self.samples.as_chunks::<FRAME>();
        frames
            .iter()
            .map(|frame| {
                meter.measure(frame);
                meter
                    .tracks()
                    .next()
                    .map_or(level::FLOOR_DBFS, |it| it.level_dbfs)
            })
            .collect()
    }

    /// The level of all of it, in dBFS.
    pub(crate) fn dbfs(&self) -> f32 {
        level::dbfs(&self.samples)
    }

    /// The longest time below `floor_dbfs`, in milliseconds, in steps of 20.
    pub(crate) fn longest_silence_ms(&self, floor_dbfs: f32) -> usize {
        let (mut run, mut longest) = (0, 0);
        for frame in self.samples.chunks_exact(FRAME) {
            run = if level::dbfs(frame) < floor_dbfs {
                run + 1
            } else {
                0
            };
            longest = longest.max(run);
        }
        longest * 20
    }
}

/// How well `sound` is a piece of `tune`, which repeats, at one and the same place all along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    /// The least normalised correlation of any half second: 1 is the same.
    pub(crate) worst: f32,
    /// Where that half second begins, in seconds.
    pub(crate) worst_at: f32,
    /// The level of what was heard beside the tune's own, in dB.
    pub(crate) gain_db: f32,
}

/// Finds where in `tune` the beginning of `sound` is, then follows it to the end.
pub(crate) fn recognise(sound: &Sound, tune: &[i16]) -> Result<Match> {
    ensure!(
        sound.samples.len() >= 2 * RATE && tune.len() > 2 * RATE,
        "only {:.1} s of music were heard",
        sound.secs()
    );
    // A tune repeats its chords: a second and a half tells one bar from another. Clips are played by
    // whole frames.
    let piece = floats(&sound.samples[RATE / 2..2 * RATE]);
    let whole = floats(&at(tune, 0, tune.len() + 2 * RATE));
    // The pieces' energies by running sums, so that each place costs one product a sample.
    let mut sums = vec![0.0_f64];
    let mut sum = 0.0;
    sums.extend(whole.iter().map(|&it| {
        sum += f64::from(it * it);
        sum
    }));
    let place = (0..tune.len())
        .step_by(FRAME)
        .map(|place| {
            let end = place + piece.len();
            let energy = (sums[end] - sums[place]) as f32;
            (
                dot(&piece, &whole[place..end]) / energy.sqrt().max(1.0),
                place,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, place)| place + tune.len() - RATE / 2)
        .context("the tune is empty")?;
    let half = RATE / 2;
    let halves = sound.samples.chunks_exact(half).enumerate();
    let (worst, worst_at) = halves
        .map(|(index, heard)| {
            let original = at(tune, place + index * half, half);
            (
                likeness(&floats(heard), &floats(&original)),
                index as f32 / 2.0,
            )
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .context("no half second")?;
    let original = at(tune, place, sound.samples.len());
    Ok(Match {
        worst,
        worst_at,
        gain_db: sound.dbfs() - level::dbfs(&original),
    })
}

fn at(tune: &[i16], place: usize, len: usize) -> Vec<i16> {
    (place..place + len).map(|i| tune[i % tune.len()]).collect()
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&it| f32::from(it)).collect()
}

/// The normalised correlation of two pieces of the same length.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(p, q)| p * q).sum()
}
