//! Whether a trunk's targets live: OPTIONS on a schedule, and what calls find out by the way.
//!
//! ```text
//!   Unknown ──any answer──▶ Up ──down_after failures──▶ Down ──up_after answers, or a call's──▶ Up
//!                           ▲ └──503 to OPTIONS──▶ Draining ──any other answer──┘
//! ```
//!
//! The law: pure; one for each trunk. Without a `health` section nothing is sent, and a target that a
//! call found silent or unreachable only rests for a while: nobody would tell that it is back.

use std::fmt;

use clock::{Duration, Now};

use super::contact::Target;
use super::route::Hop;
use crate::config::{ConfigError, Section};

/// How targets are watched: `[trunks.NAME.health]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// Between two OPTIONS to one target (`interval`).
    pub interval: Duration,
    /// How long an answer may take (`timeout`).
    pub timeout: Duration,
    /// Failures in a row after which a target is down (`down_after`).
    pub down_after: u32,
    /// Answers in a row after which it is up again (`up_after`).
    pub up_after: u32,
}

/// Where a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It has not been heard of; calls are sent to it.
    Unknown,
    /// It answers.
    Up,
    /// It answers 503: calls in progress go on, new ones are for others.
    Draining,
    /// It does not answer.
    Down,
}

/// What is known of one target.
#[derive(Clone, Debug)]
pub struct TargetHealth {
    /// Which.
    pub hop: Hop,
    /// Where it stands.
    pub state: TargetState,
    /// Since when.
    pub since: Now,
    /// Why.
    pub reason: String,
    /// The latest round trip of an OPTIONS.
    pub round_trip: Option<Duration>,
    /// New calls are for others until then (Retry-After, or a failure).
    pub rests_until: Option<Now>,
    /// What the latest OPTIONS came to; `None` while there is none.
    pub answer: Option<String>,
    /// Whether that was an answer at all.
    pub answered: bool,
    failures: u32,
    answers: u32,
    /// Somebody wants to know now.
    asked: bool,
    next_ping: Now,
    pinged: Option<Now>,
}

/// What an OPTIONS came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pong {
    /// A final status.
    Answered(u16),
    /// Nothing, or the way there broke.
    Failed(&'static str),
}

/// A target's state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// Which.
    pub target: Target,
    /// To what.
    pub state: TargetState,
    /// Why.
    pub reason: String,
}

/// The targets of one trunk.
#[derive(Clone, Debug, Default)]
pub struct Health {
    config: Option<HealthConfig>,
    targets: Vec<TargetHealth>,
}

/// Hops as a call should try them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Best first.
    pub hops: Vec<Hop>,
    /// None is up: the least bad are tried.
    pub all_down: bool,
}

impl HealthConfig {
    /// What holds for keys that are not given.
    pub const USUAL: Self = Self {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(2),
        down_after: 3,
        up_after: 2,
    };

    /// Reads `[trunks.NAME.health]`; `None` without it.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub(super) fn read(mut file: Section) -> Result<Option<Self>, ConfigError> {
        if file.is_empty() {
            return Ok(None);
        }
        let secs = Duration::from_secs;
        let interval = file.duration("interval", secs(1)..=secs(3_600))?;
        let interval = interval.unwrap_or(secs(30));
        let timeout = file.duration("timeout", Duration::from_millis(100)..=secs(32))?;
        let mut count = |key: &str, usual: u32| -> Result<u32, ConfigError> {
            let given = file.integer(key, 1..=100)?;
            Ok(given
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(usual))
        };
        let config = Self {
            interval,
            timeout: timeout.unwrap_or(secs(2)).min(interval),
            down_after: count("down_after", 3)?,
            up_after: count("up_after", 2)?,
        };
        file.finish()?;
        Ok(Some(config))
    }
}

impl Health {
    /// Puts another policy in force; what is known stays.
    pub fn configure(&mut self, config: Option<HealthConfig>) {
        self.config = config;
        if config.is_none() {
            for target in &mut self.targets {
                target.state = TargetState::Unknown;
                target.pinged = None;
            }
        }
    }

    /// Replaces the targets; those that stay keep what is known of them. `lot` spreads the first OPTIONS
    /// of new ones over the interval, so that a restart is no volley.
    pub fn set_targets(&mut self, now: Now, hops: &[Hop], mut lot: impl FnMut() -> u64) {
        let mut before = std::mem::take(&mut self.targets);
        for hop in hops {
            let known = before.iter().position(|it| it.hop.target == hop.target);
            let kept = known.map(|at| before.swap_remove(at));
            self.targets.push(match kept {
                Some(target) => TargetHealth {
                    hop: hop.clone(),
                    ..target
                },
                None => TargetHealth {
                    hop: hop.clone(),
                    state: TargetState::Unknown,
                    since: now,
                    reason: "not heard of yet".to_owned(),
                    round_trip: None,
                    rests_until: None,
                    answer: None,
                    answered: false,
                    failures: 0,
                    answers: 0,
                    asked: false,
                    next_ping: now + Duration::from_millis(lot() % 1_000),
                    pinged: None,
                },
            });
        }
    }

    /// Every target with what is known of it.
    pub fn targets(&self) -> &[TargetHealth] {
        &self.targets
    }

    /// Has every target asked now, watched or not.
    pub fn ask_now(&mut self, now: Now) {
        for it in &mut self.targets {
            it.asked = true;
            it.answer = None;
            it.next_ping = now;
        }
    }

    /// Targets to which an OPTIONS is to be sent now.
    pub fn due(&mut self, now: Now) -> Vec<Hop> {
        let (watched, interval) = (self.config.is_some(), self.policy().interval);
        let is_due = |it: &&mut TargetHealth| {
            (watched || it.asked) && it.pinged.is_none() && it.next_ping <= now
        };
        let due = self.targets.iter_mut().filter(is_due);
        let ping = |it: &mut TargetHealth| {
            it.pinged = Some(now);
            it.next_ping = now + interval;
            it.asked = false;
            it.hop.clone()
        };
        due.map(ping).collect()
    }

    /// Targets whose OPTIONS was not answered in time.
    pub fn overdue(&self, now: Now) -> Vec<Target> {
        let timeout = self.policy().timeout;
        let late = |it: &&TargetHealth| it.pinged.is_some_and(|at| at + timeout <= now);
        let targets = self.targets.iter().filter(late);
        targets.map(|it| it.hop.target).collect()
    }

    /// When [`Health::due`] or [`Health::overdue`] has something next.
    pub fn deadline(&self) -> Option<Now> {
        let (watched, timeout) = (self.config.is_some(), self.policy().timeout);
        let next = |it: &TargetHealth| match it.pinged {
            Some(at) => Some(at + timeout),
            None => (watched || it.asked).then_some(it.next_ping),
        };
        self.targets.iter().filter_map(next).min()
    }

    /// The policy in force; for targets that are only asked now and then, the usual one.
    fn policy(&self) -> HealthConfig {
        self.config.unwrap_or(HealthConfig::USUAL)
    }

    /// An OPTIONS came to its end. Any answer but 502, 503 and 504 says that there is somebody.
    pub fn on_pong(&mut self, now: Now, target: Target, pong: &Pong) -> Option<HealthChange> {
        let config = self.config;
        let it = self.find(target)?;
        let sent = it.pinged.take()?;
        it.answer = Some(match pong {
            Pong::Answered(status) => format!("{status} to OPTIONS"),
            Pong::Failed(why) => (*why).to_owned(),
        });
        it.answered = matches!(pong, Pong::Answered(_));
        if it.answered {
            it.round_trip = Some(now - sent);
        }
        // Unwatched, it was only asked: what it is for calls stays as it is.
        let config = config?;
        match pong {
            Pong::Answered(503) => {
                it.failures = 0;
                it.answers = 0;
                it.turn(now, TargetState::Draining, "503 to OPTIONS".to_owned())
            }
            Pong::Answered(status @ (408 | 502 | 504)) => {
                let why = format!("{status} to OPTIONS");
                it.failed(now, config.down_after, why)
            }
            Pong::Failed(why) => it.failed(now, config.down_after, (*why).to_owned()),
            Pong::Answered(status) => {
                it.failures = 0;
                it.answers += 1;
                let enough = it.state != TargetState::Down || it.answers >= config.up_after;
                let why = format!("{status} to OPTIONS");
                enough.then(|| it.lives(now, why)).flatten()
            }
        }
    }

    /// A call's request was answered by it: it lives, whatever OPTIONS say.
    pub fn proven(&mut self, now: Now, target: Target) -> Option<HealthChange> {
        let watched = self.config.is_some();
        let it = self.find(target)?;
        it.failures = 0;
        it.rests_until = None;
        if !watched {
            return None;
        }
        it.lives(now, "answered a call".to_owned())
    }

    /// A call found it silent, unreachable or out of service. `rest` is what it asked for.
    pub fn setback(
        &mut self,
        now: Now,
        target: Target,
        why: &str,
        rest: Option<Duration>,
    ) -> Option<HealthChange> {
        let config = self.config;
        let it = self.find(target)?;
        match (config, rest) {
            (_, Some(rest)) => it.rests_until = Some(now + rest),
            (None, None) => it.rests_until = Some(now + REST),
            (Some(config), None) => return it.failed(now, config.down_after, why.to_owned()),
        }
        None
    }

    /// The hops that a call should try: those that are up in their order, those that rest behind them.
    pub fn order(&self, now: Now, hops: Vec<Hop>) -> Ordered {
        let badness = |hop: &Hop| {
            let known = self.targets.iter().find(|it| it.hop.target == hop.target);
            let rests = known
                .and_then(|it| it.rests_until)
                .is_some_and(|at| at > now);
            match known.map(|it| it.state) {
                Some(TargetState::Down) => 3,
                Some(TargetState::Draining) => 2,
                _ if rests => 1,
                _ => 0_u8,
            }
        };
        let mut ranked: Vec<(u8, Hop)> = hops.into_iter().map(|hop| (badness(&hop), hop)).collect();
        ranked.sort_by_key(|(badness, _)| *badness);
        let all_down = !ranked.is_empty() && ranked.iter().all(|(badness, _)| *badness > 1);
        if !all_down {
            ranked.retain(|(badness, _)| *badness <= 1);
        }
        Ordered {
            hops: ranked.into_iter().map(|(_, hop)| hop).collect(),
            all_down,
        }
    }

    fn find(&mut self, target: Target) -> Option<&mut TargetHealth> {
        self.targets.iter_mut().find(|it| it.hop.target == target)
    }
}

impl TargetHealth {
    /// Whether an OPTIONS is under way or about to be sent.
    pub fn is_asking(&self) -> bool {
        self.asked || self.pinged.is_some()
    }

    fn lives(&mut self, now: Now, why: String) -> Option<HealthChange> {
        self.turn(now, TargetState::Up, why)
    }

    fn failed(&mut self, now: Now, down_after: u32, why: String) -> Option<HealthChange> {
        self.answers = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures < down_after {
            return None;
        }
        self.turn(now, TargetState::Down, why)
    }

    fn turn(&mut self, now: Now, state: TargetState, reason: String) -> Option<HealthChange> {
        if self.state == state {
            return None;
        }
        self.state = state;
        self.since = now;
        self.reason.clone_from(&reason);
        self.answers = 0;
        Some(HealthChange {
            target: self.hop.target,
            state,
            reason,
        })
    }
}

impl TargetState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Up, Self::Draining, Self::Down];

    /// As logs, metrics and the API say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long a target rests that nobody watches, after a call found it dead: the next callers should not
/// wait for it too.
pub const REST: Duration = Duration::from_secs(30);
