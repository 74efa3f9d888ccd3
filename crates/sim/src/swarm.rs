//! What a seed draws: first which faults and features are on, then a workload under them.
//!
//! A world with every fault on at once finds little: everything fails at the first step. So each
//! seed turns most of them off (swarm testing, Groce et al. 2012), and most seeds are deep in a few.

use clock::{Duration, Now};
use sip::sdp::{Codec, Srtp};
use tandem::call::{Dtmf, VoicePolicy};
use tandem::demo::phone::{Act, Answering, Early, Habits};
use tandem::trunk::SrtpPolicy;

use crate::Random;
use crate::link::{Gilbert, Impairment};
use crate::media::Mischief;
use crate::mix::Mix;
use crate::races::Races;
use crate::stage::{AGENTS, NUMBERS, OPERATOR};

/// How much of the world is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Signalling, calls, plans and queues; ports tell what they would, without a sample.
    Signalling,
    /// All of it: every packet of every stream.
    Full,
}

/// A fault planted between the server and the checkers, to see that they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first call record is lost.
    LoseRecord,
    /// The first refusal of a call is followed by another one.
    RefuseTwice,
    /// The first event of the first call is told again when all is over.
    SpeakAfterEnd,
    /// The first audio packet of the server is sent three times in a row.
    Stutter,
}

/// One call to be made.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) at: Now,
    pub(crate) number: &'static str,
    pub(crate) script: Vec<Act>,
    pub(crate) habits: Habits,
    pub(crate) tcp: bool,
    /// Hangs up that long after dialling, whatever the state.
    pub(crate) gives_up: Duration,
    /// From then on none of its packets arrives, either way.
    pub(crate) crashes: Option<Duration>,
}

/// One phone that registers or is dialled by the trunk.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) user: &'static str,
    pub(crate) registers: Option<Now>,
    pub(crate) answering: Answering,
    pub(crate) script: Vec<Act>,
    pub(crate) habits: Habits,
    pub(crate) tcp: bool,
    pub(crate) crashes: Option<Now>,
    /// Dials that number at that time.
    pub(crate) dials: Option<(Now, &'static str)>,
    pub(crate) tone: usize,
}

/// A world to be.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// All follows from it.
    pub seed: u64,
    /// How much is simulated.
    pub depth: Depth,
    /// What was planted; nothing in a world that is to hold.
    pub fault: Option<Fault>,
    pub(crate) signalling: Impairment,
    pub(crate) media: Impairment,
    pub(crate) mischief: Mischief,
    pub(crate) workers: u8,
    pub(crate) session_expires: Duration,
    pub(crate) trunk_calls: Option<u32>,
    pub(crate) trunk_rate: Option<u32>,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) clips_fail: u32,
    pub(crate) clips_late_ms: u64,
    pub(crate) plan: usize,
    pub(crate) swaps: Vec<(Now, usize)>,
    /// An agent goes away, or comes back.
    pub(crate) wishes: Vec<(Now, &'static str, bool)>,
    /// An operator ends whatever call is oldest.
    pub(crate) kills: Vec<Now>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) callees: Vec<Callee>,
    /// How keys go on the trunk, and on the endpoints.
    pub(crate) dtmf: (Dtmf, Dtmf),
    /// Whether the trunk and the endpoints are encrypted.
    pub(crate) srtp: (SrtpPolicy, SrtpPolicy),
    /// What is done with the voices of the trunk and of the endpoints. The world has no voice threads.
    pub(crate) voice: (VoicePolicy, VoicePolicy),
    /// Whose packets towards the server are lost, all of them, and from when to when.
    pub(crate) cut: Option<(usize, Now, Now)>,
    /// What happens between calls.
    pub(crate) mixes: Vec<(Now, Mix)>,
    /// What two ends do at once, and before the answer.
    pub(crate) races: Races,
    pub(crate) random: Random,
}

/// The features of one seed.
struct Features {
    tcp: bool,
    late_offers: bool,
    one_codec: bool,
    keys: bool,
    holds: bool,
    refers: bool,
    crashes: bool,
    early_end: bool,
    two_contacts: bool,
    grumpy: bool,
    endpoints_call: bool,
}

impl Swarm {
    /// The world of a seed.
    pub fn draw(seed: u64, depth: Depth) -> Self {
        let mut random = Random::new(seed ^ 0x7461_6e64_656d);
        let r = &mut random;
        let features = Features {
            tcp: r.chance(300),
            late_offers: r.chance(200),
            one_codec: r.chance(250),
            keys: r.chance(600),
            holds: r.chance(250),
            refers: r.chance(250),
            crashes: r.chance(200),
            early_end: r.chance(400),
            two_contacts: r.chance(200),
            grumpy: r.chance(400),
            endpoints_call: r.chance(200),
        };
        let signalling = impairment(r, 300);
        let media = impairment(r, 200);
        let busy = r.chance(70);
        let calls = match (depth, busy) {
            (Depth::Signalling, false) => 1 + r.below(6),
            (Depth::Signalling, true) => 6 + r.below(24),
            (Depth::Full, false) => 2 + r.below(12),
            (Depth::Full, true) => 20 + r.below(60),
        };
        // Callers come in the span that keeps a handful of them together.
        let span_ms = 2_000 + calls * (500 + r.below(5_000));
        let mischief = Mischief {
            no_port: on(r, 100, 80),
            ring_full: on(r, 70, 20),
            late: Duration::from_millis(u64::from(on(r, 200, 80))),
        };
        let callers = (0..calls)
            .map(|_| caller(r, &features, depth, span_ms))
            .collect();
        let swaps = if r.chance(200) { 1 + r.below(2) } else { 0 };
        let wishes = if r.chance(250) { 1 + r.below(4) } else { 0 };
        let kills = if r.chance(100) { 1 + r.below(3) } else { 0 };
        let start = Now::ZERO + SETTLED;
        let at = |r: &mut Random| start + r.millis(0, span_ms + 20_000);
        let mut swarm = Self {
            seed,
            depth,
            fault: None,
            signalling,
            media,
            mischief,
            workers: 1 + u8::try_from(r.below(3)).unwrap_or(0),
            session_expires: Duration::from_secs(if r.chance(300) { 90 } else { 200 }),
            trunk_calls: r.chance(150).then(|| 1 + r.below(6) as u32),
            trunk_rate: r.chance(100).then(|| 1 + r.below(4) as u32),
            codecs: codecs(r, features.one_codec),
            clips_fail: on(r, 100, 300),
            clips_late_ms: u64::from(on(r, 400, 600)),
            plan: r.below(4) as usize,
            swaps: (0..swaps).map(|_| (at(r), r.below(4) as usize)).collect(),
            wishes: (0..wishes)
                .filter_map(|_| Some((at(r), *r.pick(&AGENTS)?, r.chance(600))))
                .collect(),
            kills: (0..kills).map(|_| at(r)).collect(),
            callers,
            callees: callees(r, &features, depth, span_ms),
            dtmf: (Dtmf::Auto, Dtmf::Auto),
            srtp: (SrtpPolicy::Off, SrtpPolicy::Off),
            voice: Default::default(),
            cut: None,
            mixes: crate::mix::draw(seed, span_ms),
            races: Races::default(),
            random: random.fork(),
        };
        swarm.race();
        swarm
    }

    /// The same world with a planted fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// By when every phone that will has registered, on paths that lose nothing.
pub(crate) const SETTLED: Duration = Duration::from_millis(2_500);

fn on(r: &mut Random, per_mille: u32, at_most: u32) -> u32 {
    if r.chance(per_mille) {
        1 + r.below(u64::from(at_most)) as u32
    } else {
        0
    }
}

fn impairment(r: &mut Random, loss_max: u32) -> Impairment {
    let delay = Duration::from_millis(1 + r.below(60));
    if r.chance(400) {
        return Impairment::clean(delay);
    }
    let loss = if r.chance(500) {
        Gilbert::even(on(r, 500, loss_max))
    } else {
        Gilbert {
            worsens: on(r, 700, 60),
            recovers: 100 + r.below(500) as u32,
            lost_good: 0,
            lost_bad: 300 + r.below(700) as u32,
        }
    };
    Impairment {
        delay,
        jitter: Duration::from_millis(u64::from(on(r, 400, 300))),
        loss,
        reorder: on(r, 300, 100),
        duplicate: on(r, 300, 100),
    }
}

fn codecs(r: &mut Random, one: bool) -> Vec<Codec> {
    match (one && r.chance(300), r.chance(500)) {
        (true, true) => vec![Codec::Pcmu],
        (true, false) => vec![Codec::Pcma],
        (false, true) => vec![Codec::Pcmu, Codec::Pcma],
        (false, false) => vec![Codec::Pcma, Codec::Pcmu],
    }
}

fn caller(r: &mut Random, features: &Features, depth: Depth, span_ms: u64) -> Caller {
    let mut script = vec![Act::Wait(r.millis(200, 4_000))];
    if features.keys {
        for _ in 0..r.below(4) {
            let keys = ["1", "2", "0", "*", "12", "4711#", "9", "#"];
            script.extend(r.pick(&keys).map(|keys| Act::Press((*keys).to_owned())));
            script.push(Act::Wait(r.millis(100, 5_000)));
        }
    }
    if features.holds && r.chance(500) {
        script.push(Act::Wait(r.millis(0, 15_000)));
        script.push(Act::Hold(true));
        script.push(Act::Wait(r.millis(0, 4_000)));
        script.push(Act::Hold(false));
    }
    if features.refers && r.chance(100) {
        script.push(Act::Refer(refer_to(r)));
    }
    let talks_ms = match depth {
        Depth::Signalling => 90_000,
        Depth::Full => 40_000,
    };
    script.push(Act::Wait(r.millis(500, talks_ms)));
    script.push(Act::HangUp);
    let gives_up = if features.early_end && r.chance(500) {
        r.millis(0, 30_000)
    } else {
        Duration::from_secs(150)
    };
    Caller {
        at: Now::ZERO + SETTLED + r.millis(0, span_ms),
        number: r.pick(&NUMBERS).copied().unwrap_or_default(),
        script,
        habits: Habits {
            codecs: codecs(r, features.one_codec),
            offers_late: features.late_offers && r.chance(400),
            // Drawn aside, so that the worlds of old seeds stay what they are.
            reliable: r.clone().fork().chance(250),
            dtmf: Dtmf::Auto,
            early: Early::default(),
            srtp: Srtp::Off,
            browses: false,
        },
        tcp: features.tcp && r.chance(400),
        gives_up,
        crashes: (features.crashes && r.chance(200)).then(|| r.millis(0, 30_000)),
    }
}

fn refer_to(r: &mut Random) -> String {
    let to = [
        "sip:bob@10.0.0.1",
        "sip:operator@10.0.0.1",
        "sip:+15559999997@10.0.0.1",
        "sip:nobody@10.0.0.1",
        "tel:+15559999996",
    ];
    r.pick(&to).copied().unwrap_or_default().to_owned()
}

fn callees(r: &mut Random, features: &Features, depth: Depth, span_ms: u64) -> Vec<Callee> {
    let mut callees = vec![callee(r, features, depth, span_ms, "carrier", 7)];
    for (tone, user) in AGENTS.iter().chain([&OPERATOR]).copied().enumerate() {
        // Somebody is always on leave.
        if r.chance(150) {
            continue;
        }
        callees.push(callee(r, features, depth, span_ms, user, tone));
        if features.two_contacts && r.chance(400) {
            callees.push(callee(r, features, depth, span_ms, user, tone));
        }
    }
    callees
}

fn callee(
    r: &mut Random,
    features: &Features,
    depth: Depth,
    span_ms: u64,
    user: &'static str,
    tone: usize,
) -> Callee {
    let carrier = user == "carrier";
    let statuses = [486, 603, 480, 503, 600, 404, 488, 500, 302];
    let answering = if features.grumpy && r.chance(350) {
        match r.pick(&statuses) {
            Some(status) if r.chance(700) => Answering::Refuse(*status),
            _ => Answering::Never,
        }
    } else {
        Answering::After(r.millis(0, 5_000))
    };
    let mut script = vec![Act::Wait(r.millis(1_000, 8_000))];
    if features.holds && r.chance(400) {
        script.push(Act::Hold(true));
        script.push(Act::Wait(r.millis(0, 4_000)));
        script.push(Act::Hold(false));
        script.push(Act::Wait(r.millis(0, 2_000)));
    }
    if features.keys && r.chance(200) {
        script.push(Act::Press("5".to_owned()));
        script.push(Act::Wait(r.millis(0, 2_000)));
    }
    if features.refers && r.chance(400) {
        script.push(Act::Refer(refer_to(r)));
    }
    let talks_ms = match depth {
        Depth::Signalling => 60_000,
        Depth::Full => 25_000,
    };
    script.push(Act::Wait(r.millis(500, talks_ms)));
    if r.chance(700) {
        script.push(Act::HangUp);
    }
    let start = Now::ZERO + SETTLED;
    Callee {
        user,
        registers: (!carrier).then(|| Now::ZERO + r.millis(0, 1_500)),
        answering,
        script,
        habits: Habits {
            codecs: codecs(r, features.one_codec),
            offers_late: features.late_offers && r.chance(300),
            reliable: r.clone().fork().chance(250),
            dtmf: Dtmf::Auto,
            early: Early::default(),
            srtp: Srtp::Off,
            browses: false,
        },
        tcp: !carrier && features.tcp && r.chance(400),
        crashes: (features.crashes && r.chance(200)).then(|| start + r.millis(0, span_ms + 20_000)),
        dials: (!carrier && features.endpoints_call && r.chance(400))
            .then(|| (start + r.millis(0, span_ms), "+15550000001")),
        tone,
    }
}
