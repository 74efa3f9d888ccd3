//! Seeded traces of packets on bad networks: when each was due, and when it came.

/// One packet of 20 ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Its place in the stream.
    pub(crate) index: u32,
    /// Its beginning on the sender's clock, in microseconds.
    pub(crate) nominal_us: u64,
    /// When it would have come over the path at its best, on our clock.
    pub(crate) path_us: u64,
    /// When it came; `None` for one that was lost.
    pub(crate) arrives_us: Option<u64>,
}

/// What the network does to a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    None,
    /// Each packet is lost with this probability.
    Loss(f64),
    /// Gilbert–Elliott: all is lost in the bad state; the share lost, and the mean length of a burst.
    Bursts {
        loss: f64,
        length: f64,
    },
    /// Uniform up to this many ms, in order.
    Jitter(u32),
    /// Uniform up to this many ms, each packet for itself.
    Scatter(u32),
    /// A queue: exponential with this mean in ms, in order.
    Queue(f64),
    /// This share comes 25 to 65 ms later than it should, behind those sent after it.
    Reorder(f64),
    /// The sender's clock is slow by this many parts in a million, beside a jitter of 10 ms.
    Skew(f64),
    /// Every 5 s the path stands still for 100 to 400 ms, then gives all it held.
    Spikes,
    /// The path becomes 60 ms longer in the middle third, beside a jitter of 10 ms.
    Route,
    /// Jitter of 40 ms, 3 % lost in bursts of two, 2 % out of order.
    Mobile,
}

/// All traces by name, each with what the buffer before made of it over the same seeds and phases:
/// its mean delay in ms, and what it concealed in percent.
pub(crate) const ALL: &[(&str, Harm, [f64; 2])] = &[
    ("clean", Harm::None, [30.0, 0.00]),
    ("loss 1 %", Harm::Loss(0.01), [12.0, 0.98]),
    ("loss 5 %", Harm::Loss(0.05), [11.5, 4.95]),
    ("loss 10 %", Harm::Loss(0.10), [11.3, 9.82]),
    ("loss 20 %", Harm::Loss(0.20), [11.3, 19.76]),
    (
        "bursts of 3, 5 %",
        Harm::Bursts {
            loss: 0.05,
            length: 3.0,
        },
        [11.5, 5.27],
    ),
    (
        "bursts of 8, 10 %",
        Harm::Bursts {
            loss: 0.10,
            length: 8.0,
        },
        [11.6, 10.39],
    ),
    ("jitter 10 ms", Harm::Jitter(10), [39.3, 0.00]),
    ("jitter 20 ms", Harm::Jitter(20), [48.8, 0.00]),
    ("jitter 50 ms", Harm::Jitter(50), [54.9, 1.41]),
    ("jitter 100 ms", Harm::Jitter(100), [99.7, 3.31]),
    ("jitter 200 ms", Harm::Jitter(200), [197.9, 2.37]),
    ("scatter 60 ms", Harm::Scatter(60), [58.8, 5.33]),
    ("queue, mean 10 ms", Harm::Queue(10.0), [59.6, 0.38]),
    ("queue, mean 30 ms", Harm::Queue(30.0), [160.4, 1.79]),
    ("reordered 5 %", Harm::Reorder(0.05), [61.5, 0.66]),
    ("clock -100 ppm", Harm::Skew(100.0), [26.8, 2.00]),
    ("clock +100 ppm", Harm::Skew(-100.0), [40.4, 0.00]),
    ("spikes", Harm::Spikes, [207.5, 2.46]),
    ("route +60 ms", Harm::Route, [37.1, 3.62]),
    ("mobile", Harm::Mobile, [55.7, 3.95]),
];

/// A small generator, the same everywhere.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform in [0, 1).
    pub(crate) fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below_us(&mut self, ms: f64) -> u64 {
        (self.roll() * ms * 1_000.0) as u64
    }
}

const PACKET_US: u64 = 20_000;
const PATH_US: u64 = 1_000_000;

/// `seconds` of packets under `harm`.
pub(crate) fn make(harm: Harm, seconds: u32, seed: u64) -> Vec<Sent> {
    let mut dice = Dice::new(seed);
    let count = seconds * 50;
    let (mut bad, mut last, mut stall) = (false, 0, None::<(u64, u64)>);
    let mut all = Vec::new();
    for index in 0..count {
        let nominal_us = u64::from(index) * PACKET_US;
        let path_us = PATH_US + nominal_us;
        let path_us = match harm {
            Harm::Skew(ppm) => PATH_US + (nominal_us as f64 * (1.0 + ppm / 1e6)) as u64,
            Harm::Route if (count / 3..count / 3 * 2).contains(&index) => path_us + 60_000,
            _ => path_us,
        };
        let (mut lost, mut late_us, mut ordered) = (false, 0, true);
        match harm {
            Harm::None => {}
            Harm::Loss(share) => lost = dice.roll() < share,
            Harm::Bursts { loss, length } => lost = elliott(&mut dice, &mut bad, loss, length),
            Harm::Jitter(ms) => late_us = dice.below_us(f64::from(ms)),
            Harm::Scatter(ms) => (late_us, ordered) = (dice.below_us(f64::from(ms)), false),
            Harm::Queue(mean) => late_us = (-(1.0 - dice.roll()).ln() * mean * 1_000.0) as u64,
            Harm::Reorder(share) => {
                ordered = false;
                if dice.roll() < share {
                    late_us = 25_000 + dice.below_us(40.0);
                }
            }
            Harm::Skew(_) | Harm::Route => late_us = dice.below_us(10.0),
            Harm::Spikes => {
                late_us = dice.below_us(5.0);
                if index % 250 == 100 {
                    stall = Some((path_us, path_us + 100_000 + dice.below_us(300.0)));
                }
                if let Some((_, until)) =
                    stall.filter(|&(from, until)| (from..until).contains(&path_us))
                {
                    late_us += until - path_us;
                }
            }
            Harm::Mobile => {
                lost = elliott(&mut dice, &mut bad, 0.03, 2.0);
                late_us = dice.below_us(40.0);
                if dice.roll() < 0.02 {
                    (late_us, ordered) = (late_us + 30_000, false);
                }
            }
        }
        let mut arrives_us = path_us + late_us;
        if ordered {
            arrives_us = arrives_us.max(last);
            last = arrives_us;
        }
        all.push(Sent {
            index,
            nominal_us,
            path_us,
            arrives_us: (!lost || index < 2).then_some(arrives_us),
        });
    }
    all
}

fn elliott(dice: &mut Dice, bad: &mut bool, loss: f64, length: f64) -> bool {
    let leave = 1.0 / length;
    let enter = leave * loss / (1.0 - loss);
    *bad = if *bad {
        dice.roll() >= leave
    } else {
        dice.roll() < enter
    };
    *bad
}

/// The best constant delay chosen in hindsight: the least that leaves no more than `late` of the
/// packets that came behind their time. In ms beyond the path, as a mean over the stream. With a
/// phase, the least that can be had when a frame is taken every 20 ms at that phase.
pub(crate) fn constant_ms(trace: &[Sent], late: f64, phase_ms: Option<u64>) -> f64 {
    let delays = delays_ms(trace);
    let spare = (delays.len() as f64 * late).floor() as usize;
    let best = delays[delays.len() - 1 - spare.min(delays.len() - 1)];
    let Some(phase) = phase_ms else { return best };
    // On the sender's clock, on which the frames are: a drift shifts the mean.
    let (on_clock, phase) = (best + drift_ms(trace), phase as f64);
    phase + ((on_clock - phase) / 20.0).ceil() * 20.0 - drift_ms(trace)
}

/// The least that a constant delay costs in hindsight, if a percent late is worth 20 ms.
pub(crate) fn constant_cost_ms(trace: &[Sent]) -> f64 {
    let delays = delays_ms(trace);
    let late = |n: usize| (delays.len() - 1 - n) as f64 / delays.len() as f64;
    let cost = |(n, delay): (usize, &f64)| delay + 2_000.0 * late(n);
    delays.iter().enumerate().map(cost).fold(f64::MAX, f64::min)
}

/// The constant delays with which each packet that came would have been just in time, in order.
fn delays_ms(trace: &[Sent]) -> Vec<f64> {
    let transit = |sent: &Sent| Some(sent.arrives_us? as f64 - sent.nominal_us as f64);
    let path = trace[0].path_us as f64 / 1_000.0 + drift_ms(trace);
    let mut delays: Vec<f64> = trace
        .iter()
        .filter_map(|sent| Some(transit(sent)? / 1_000.0 - path))
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// How much longer the path is on the mean than for the first packet.
fn drift_ms(trace: &[Sent]) -> f64 {
    let path = |sent: &Sent| sent.path_us as f64 - sent.nominal_us as f64;
    let mean = trace.iter().map(path).sum::<f64>() / trace.len() as f64;
    (mean - path(&trace[0])) / 1_000.0
}
