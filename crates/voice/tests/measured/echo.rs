//! Echo: how much of it goes, how soon, and what the near talker pays for that.

use rustix::time::{ClockId, clock_gettime};
use voice::FRAME;
use voice::activity::{Activity, Patience, Spurt};
use voice::chain::{Chain, Wanted};
use voice::reference::Reference;

use crate::line::{Line, linear};
use crate::room::{Room, noise};
use crate::speech::{Talk, talk};

/// One run: the far talker all the time, the near one with him from second 14 to 22.
pub(crate) struct Scene {
    pub(crate) line: Line,
    pub(crate) room: Room,
}

/// What came of it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Outcome {
    /// By how much the echo was quieter from second 2 to 4.
    pub(crate) soon_db: f64,
    /// From 6 to 14 and from 24 to 30.
    pub(crate) steady_db: f64,
    /// Near-talk frames in double talk that lost more than 6 dB, in percent.
    pub(crate) cut_pc: f64,
    /// What the near talker lost altogether in double talk.
    pub(crate) lost_db: f64,
    /// Spurts told while only the far talker talked.
    pub(crate) false_spurts: f64,
    /// Processor time for 10 ms.
    pub(crate) us: f64,
    /// In the half second that had least to share the machine with.
    pub(crate) us_least: f64,
}

impl Outcome {
    pub(crate) fn numbers(&self) -> [(&'static str, f64); 5] {
        [
            ("soon_db", self.soon_db),
            ("steady_db", self.steady_db),
            ("cut_pc", self.cut_pc),
            ("lost_db", self.lost_db),
            ("false_spurts", self.false_spurts),
        ]
    }
}

/// The two talkers of a run.
pub(crate) struct Talkers {
    far: Talk,
    near: Talk,
}

impl Talkers {
    pub(crate) fn new(seed: u64) -> Self {
        let mut near = talk(&["en-gb+f2"], 8.0, (0.1, 0.3), -23.0, seed + 5);
        near.samples.splice(0..0, vec![0.0; 14 * 16_000]);
        near.samples.resize(30 * 16_000, 0.0);
        Self {
            far: talk(&["en-us+m3"], 30.0, (0.1, 0.35), -20.0, seed),
            near,
        }
    }
}

/// What our side has of a run: both directions of the leg, and the near talker alone.
pub(crate) struct Heard {
    sent: Vec<i16>,
    said: Vec<i16>,
    near: Vec<i16>,
    echo: Vec<i16>,
}

impl Scene {
    pub(crate) fn hear(&self, talkers: &Talkers) -> Heard {
        let far = linear(&talkers.far.samples);
        let unit = |samples: Vec<i16>| -> Vec<f32> {
            samples.iter().map(|&s| f32::from(s) / 32_768.0).collect()
        };
        let echo = self.room.echo(&unit(self.line.carry(&far)));
        let hiss = noise(far.len(), -75.0, 9);
        let mix: Vec<f32> = echo
            .iter()
            .zip(&talkers.near.samples)
            .zip(hiss)
            .map(|((e, n), h)| e + n + h)
            .collect();
        Heard {
            sent: self.line.bus(&far),
            said: self.line.carry(&linear(&mix)),
            near: self.line.carry(&linear(&talkers.near.samples)),
            echo: self.line.carry(&linear(&echo)),
        }
    }

    /// The same, but from that second on the echo comes so much later.
    pub(crate) fn hear_step(&self, talkers: &Talkers, second: f64, ms: f64) -> Heard {
        let later = Self {
            line: self.line,
            room: Room {
                delay_ms: self.room.delay_ms + ms,
                ..self.room
            },
        };
        let (mut heard, after) = (self.hear(talkers), later.hear(talkers));
        let from = (second * 16_000.0) as usize;
        for (to, by) in [(&mut heard.said, after.said), (&mut heard.echo, after.echo)] {
            to.splice(from.., by[from..].iter().copied());
        }
        heard
    }

    /// What comes out; `follows`, if the reference follows the echo's steps.
    pub(crate) fn echo_left(&self, heard: &Heard, mut chain: Chain, follows: bool) -> Vec<i16> {
        let mut out = self.put_through(heard, &mut chain, follows, |_| ());
        out.drain(..voice::echo::DELAY);
        out
    }

    fn put_through(
        &self,
        heard: &Heard,
        chain: &mut Chain,
        follows: bool,
        mut done: impl FnMut(usize),
    ) -> Vec<i16> {
        let mut reference = Reference::new();
        let mut out = Vec::with_capacity(heard.said.len());
        let said = heard.said.chunks_exact(FRAME);
        for (near, far) in said.zip(heard.sent.chunks_exact(FRAME)) {
            let far = far.try_into().unwrap();
            let stepped = if follows { chain.stepped() } else { 0 };
            let far = reference.follow(far, stepped);
            out.extend(chain.handle(near.try_into().unwrap(), &far).out);
            done(out.len());
        }
        out
    }

    pub(crate) fn run(&self, heard: &Heard, mut chain: Chain, wanted: Wanted) -> Outcome {
        let mut spent = Vec::new();
        let mut began = thread_time();
        let mut out = self.put_through(heard, &mut chain, true, |len| {
            if len % (STRETCH * FRAME) == 0 {
                let now = thread_time();
                spent.push((now - began) * 1e6 / STRETCH as f64);
                began = now;
            }
        });
        let us = spent.iter().sum::<f64>() / spent.len() as f64;
        let us_least = spent.into_iter().fold(f64::MAX, f64::min);
        out.drain(..wanted.delay());
        Outcome {
            us,
            us_least,
            ..assess(heard, &out)
        }
    }
}

impl Heard {
    /// By how much what comes out in those seconds is quieter than what went in.
    pub(crate) fn lowered(&self, out: &[i16], spans: &[(f64, f64)]) -> f64 {
        let energy = |samples: &[i16]| -> f64 {
            let spans = spans.iter().map(|&span| energy(of(samples, span)));
            spans.sum::<f64>().max(1.0)
        };
        10.0 * (energy(&self.said) / energy(out)).log10()
    }
}

fn assess(heard: &Heard, out: &[i16]) -> Outcome {
    let reduced = |spans: &[(f64, f64)]| heard.lowered(out, spans);
    let both = (14.2, 21.8);
    let (mut frames, mut cut) = (0.0, 0.0);
    let (mut clean, mut kept) = (0.0, 0.0);
    let frame =
        |samples: &[i16]| -> Vec<f64> { of(samples, both).chunks_exact(320).map(energy).collect() };
    let (near, echo, out_frames) = (frame(&heard.near), frame(&heard.echo), frame(out));
    let active = |frames: &[f64], below: f64| {
        let loudest = frames.iter().copied().fold(0.0, f64::max);
        loudest * 10f64.powf(-below / 10.0)
    };
    let (near_floor, echo_floor) = (active(&near, NEAR_ACTIVE_DB), active(&echo, ECHO_ACTIVE_DB));
    for ((near, echo), out) in near.iter().zip(&echo).zip(&out_frames) {
        if *near < near_floor || *echo < echo_floor {
            continue;
        }
        frames += 1.0;
        cut += f64::from(u8::from(*out < near / 4.0));
        clean += near;
        kept += out;
    }
    Outcome {
        soon_db: reduced(&[(2.0, 4.0)]),
        steady_db: reduced(&[(6.0, 13.8), (24.0, 29.9)]),
        cut_pc: 100.0 * cut / frames,
        lost_db: 10.0 * (clean / kept).log10(),
        false_spurts: false_spurts(out),
        us: 0.0,
        us_least: 0.0,
    }
}

/// Spurts that begin before the near talker does, or a second after he has ceased.
fn false_spurts(out: &[i16]) -> f64 {
    let mut activity = Activity::new(Patience::default());
    let frames = out.chunks_exact(FRAME);
    let told = frames.filter_map(|frame| activity.handle(frame.try_into().unwrap()));
    let alone = |at: u64| !(13 * 16_000..23 * 16_000).contains(&at);
    told.filter(|spurt| matches!(spurt, Spurt::Began { at, .. } if alone(*at)))
        .count() as f64
}

fn of(samples: &[i16], (from, to): (f64, f64)) -> &[i16] {
    let at = |seconds: f64| ((seconds * 16_000.0) as usize).min(samples.len());
    &samples[at(from)..at(to)]
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum()
}

/// Processor time of this thread, in seconds.
fn thread_time() -> f64 {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    at.tv_sec as f64 + at.tv_nsec as f64 / 1e9
}

/// Frames of which the cost is told together.
const STRETCH: usize = 50;
/// A frame this far below the loudest one still counts as talk.
const NEAR_ACTIVE_DB: f64 = 25.0;
/// And as echo.
const ECHO_ACTIVE_DB: f64 = 20.0;
