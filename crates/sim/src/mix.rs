//! What happens between calls: attended transfers, and newcomers in others' places. Whoever does it is
//! picked when it happens, for no script knows who will be in a call.

use clock::{Duration, Now};
use sip::sdp::{Codec, Srtp};
use tandem::call::{Dtmf, VoicePolicy};
use tandem::demo::phone::{Act, Answering, Habits};
use tandem::trunk::SrtpPolicy;

use crate::Random;
use crate::link::{Gilbert, Impairment};
use crate::media::Mischief;
use crate::races::Races;
use crate::swarm::{Callee, Caller, Depth, SETTLED, Swarm};

/// One thing between calls. Hosts are named by their order: the carrier, then the phones, then the
/// callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// `by` hands the one it talks to on to the one that `other`, of the same owner, talks to.
    Attend {
        /// Whose REFER it is.
        by: usize,
        /// Whose dialog it names.
        other: usize,
    },
    /// `by`, who is in no call, takes the place of `of`.
    TakeOver {
        /// Whose INVITE it is.
        by: usize,
        /// Whose dialog it names.
        of: usize,
    },
    /// An attended transfer of anybody who could make one.
    AnyAttend,
    /// Any phone that is in no call, in anybody's place.
    AnyTakeOver,
}

/// The mixes of a seed. Drawn apart, so that all else is as it would be without them.
pub(crate) fn draw(seed: u64, span_ms: u64) -> Vec<(Now, Mix)> {
    let mut random = Random::new(seed ^ 0x006d_6978_6573);
    let r = &mut random;
    let (attends, places) = (r.chance(350), r.chance(250));
    let mut mixes = Vec::new();
    for (on, what) in [(attends, Mix::AnyAttend), (places, Mix::AnyTakeOver)] {
        let count = if on { 2 + r.below(12) } else { 0 };
        for _ in 0..count {
            let at = Now::ZERO + SETTLED + r.millis(1_000, span_ms + 30_000);
            mixes.push((at, what));
        }
    }
    mixes
}

impl Swarm {
    /// The same world without what happens between calls.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.mixes.clear();
        self
    }

    /// A world without faults, with that many media workers, in which only what is asked for happens.
    pub fn quiet(seed: u64, workers: u8) -> Self {
        let mut random = Random::new(seed);
        let clean = Impairment {
            delay: Duration::from_millis(5),
            jitter: Duration::ZERO,
            loss: Gilbert::even(0),
            reorder: 0,
            duplicate: 0,
        };
        let quiet = Self {
            seed,
            depth: Depth::Full,
            fault: None,
            signalling: clean,
            media: clean,
            mischief: Mischief::default(),
            workers,
            session_expires: Duration::from_secs(1_800),
            trunk_calls: None,
            trunk_rate: None,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            clips_fail: 0,
            clips_late_ms: 0,
            plan: 1,
            swaps: Vec::new(),
            wishes: Vec::new(),
            kills: Vec::new(),
            callers: Vec::new(),
            callees: Vec::new(),
            dtmf: (Dtmf::Auto, Dtmf::Auto),
            srtp: (SrtpPolicy::Off, SrtpPolicy::Off),
            voice: Default::default(),
            cut: None,
            mixes: Vec::new(),
            races: Races::default(),
            random: random.fork(),
        };
        quiet.phone("carrier", None, Vec::new())
    }

    /// One more phone: it answers after 200 ms, does what the script says, and dials by itself.
    #[must_use]
    pub fn phone(
        mut self,
        user: &'static str,
        dials: Option<(u64, &'static str)>,
        script: Vec<Act>,
    ) -> Self {
        let start = Now::ZERO + SETTLED;
        let tone = self.callees.len() % 8;
        let carrier = user == "carrier";
        self.callees.push(Callee {
            user,
            registers: (!carrier).then_some(Now::ZERO + Duration::from_millis(100)),
            answering: Answering::After(Duration::from_millis(200)),
            script,
            habits: Habits::default(),
            tcp: false,
            crashes: None,
            dials: dials.map(|(ms, number)| (start + Duration::from_millis(ms), number)),
            tone,
        });
        self
    }

    /// The same phone as a browser.
    #[must_use]
    pub fn browser(
        self,
        user: &'static str,
        dials: Option<(u64, &'static str)>,
        script: Vec<Act>,
    ) -> Self {
        let mut swarm = self.phone(user, dials, script);
        if let Some(last) = swarm.callees.last_mut() {
            last.habits.browses = true;
        }
        swarm
    }

    /// That phone, by its order after the carrier, is not heard from any more at that many ms after the start.
    #[must_use]
    pub fn crash(mut self, host: usize, at_ms: u64) -> Self {
        if let Some(callee) = self.callees.get_mut(host) {
            callee.crashes = Some(Now::ZERO + SETTLED + Duration::from_millis(at_ms));
        }
        self
    }

    /// The same world, in which about every second phone of the endpoints is a browser.
    #[must_use]
    pub fn browsing(mut self) -> Self {
        let mut random = Random::new(self.seed ^ 0x0077_6562);
        let endpoints = self.callees.iter_mut().filter(|it| it.registers.is_some());
        for callee in endpoints {
            callee.habits.browses = random.chance(500);
        }
        self
    }

    /// One more caller from the carrier's side, at that many ms after the start; one without a number
    /// waits to be told.
    #[must_use]
    pub fn caller(mut self, at_ms: u64, number: &'static str, script: Vec<Act>) -> Self {
        self.callers.push(Caller {
            at: Now::ZERO + SETTLED + Duration::from_millis(at_ms),
            number,
            script,
            habits: Habits::default(),
            tcp: false,
            gives_up: Duration::from_secs(60),
            crashes: None,
        });
        self
    }

    /// How keys go on the trunk and on the endpoints, as server and phones have it.
    #[must_use]
    pub fn keys(mut self, trunk: Dtmf, endpoints: Dtmf) -> Self {
        self.set_keys(trunk, endpoints);
        self
    }

    pub(crate) fn set_keys(&mut self, trunk: Dtmf, endpoints: Dtmf) {
        self.dtmf = (trunk, endpoints);
        for caller in &mut self.callers {
            caller.habits.dtmf = trunk;
        }
        for callee in &mut self.callees {
            // The carrier's phones are behind the trunk.
            let of_trunk = callee.registers.is_none();
            callee.habits.dtmf = if of_trunk { trunk } else { endpoints };
        }
    }

    /// Whether the trunk and the endpoints are encrypted, and what the phones behind them do.
    #[must_use]
    pub fn srtp(mut self, server: (SrtpPolicy, SrtpPolicy), phones: (Srtp, Srtp)) -> Self {
        self.srtp = server;
        for caller in &mut self.callers {
            caller.habits.srtp = phones.0.clone();
        }
        for callee in &mut self.callees {
            let of_trunk = callee.registers.is_none();
            let habit = if of_trunk { &phones.0 } else { &phones.1 };
            callee.habits.srtp = habit.clone();
        }
        self
    }

    /// What is done with the voices of the trunk and of the endpoints.
    #[must_use]
    pub fn voice(mut self, server: (VoicePolicy, VoicePolicy)) -> Self {
        self.voice = server;
        self
    }

    /// The same world, in which media lose so many packets in a thousand, evenly.
    #[must_use]
    pub fn losing_sound(mut self, per_mille: u32) -> Self {
        self.media.loss = Gilbert::even(per_mille);
        self
    }

    /// All that a host says is lost on the way to the server, from the first to the second of these ms
    /// after the start.
    #[must_use]
    pub fn cut(mut self, host: usize, [from, until]: [u64; 2]) -> Self {
        let at = |ms| Now::ZERO + SETTLED + Duration::from_millis(ms);
        self.cut = Some((host, at(from), at(until)));
        self
    }

    /// Something between calls, at that many ms after the start.
    #[must_use]
    pub fn mix(mut self, at_ms: u64, what: Mix) -> Self {
        let at = Now::ZERO + SETTLED + Duration::from_millis(at_ms);
        self.mixes.push((at, what));
        self
    }
}
