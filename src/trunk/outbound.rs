//! Our registration with a carrier (RFC 3261 §10.2): refreshed early, tried again with back-off.
//!
//! ```text
//!   Waiting ──due──▶ Asking ──2xx──▶ Registered ──80–90 % of the time granted──▶ Asking
//!      ▲               │ refused, silent          leave ──▶ REGISTER with Expires 0 ──▶ Left
//!      └──back-off─────┘ 423: once more at once, for as long as the registrar wants
//! ```
//!
//! The law: pure. A registration stands until its time is over, also while its refresh fails. Digest is
//! the SIP machine's, which counts CSeq up itself: [`CSEQ_STEP`] leaves it room.

use std::fmt;

use clock::{Duration, Now};

use super::hop::{HOP_RULE, NextHop, SendTo};
use crate::config::{ConfigError, Section};

/// How we register with a carrier: `register` and the keys beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationConfig {
    /// Where (`registrar`); the first target if not given.
    pub registrar: NextHop,
    /// For how long (`register_expires`).
    pub expires: Duration,
    /// The user part of our Contact (`contact_user`), which calls then come to; the account's user if
    /// not given.
    pub contact_user: Option<String>,
    /// Calls by the trunk are refused while it does not stand (`unregistered = "refuse"`).
    pub refuses: bool,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Never yet.
    Trying,
    /// It stands.
    Registered,
    /// It does not.
    Failed,
    /// We have taken it back.
    Left,
}

/// A REGISTER to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// One for all of a registration's requests.
    pub call_id: String,
    /// Higher than any before.
    pub cseq: u32,
    /// In seconds; 0 takes the registration back.
    pub expires_secs: u64,
}

/// What a REGISTER came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The status; 408 for silence, 503 for a broken way.
    pub status: u16,
    /// The time granted.
    pub granted: Option<Duration>,
    /// What a 423 wants at least.
    pub least: Option<Duration>,
}

/// One trunk's registration.
#[derive(Clone, Debug)]
pub struct Registration {
    config: RegistrationConfig,
    call_id: String,
    cseq: u32,
    phase: Phase,
    /// Until when the registrar believes it.
    good_until: Option<Now>,
    failures: u32,
    /// What the registrar wants at least.
    least: Option<Duration>,
    state: RegistrationState,
    since: Now,
    reason: String,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting { until: Now },
    Asking { brief: bool },
    Leaving,
    Left,
}

impl RegistrationConfig {
    /// Reads `register` and the keys beside it; `None` without it.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub(super) fn read(
        file: &mut Section,
        targets: &[SendTo],
    ) -> Result<Option<Self>, ConfigError> {
        let wanted = file.boolean("register")?.unwrap_or(false);
        let registrar = match file.text("registrar")? {
            Some(text) => match NextHop::parse(&text, None) {
                Some(hop) => Some(hop),
                None => return Err(file.refuse("registrar", HOP_RULE, &text)),
            },
            None => targets.first().map(|target| target.hop.clone()),
        };
        let secs = Duration::from_secs;
        let expires = file.duration("register_expires", secs(60)..=secs(86_400))?;
        let contact_user = file.text("contact_user")?;
        let words = [("dial", false), ("refuse", true)];
        let refuses = file.one_of("unregistered", &words)?;
        let keys = [
            ("registrar", false),
            ("register_expires", expires.is_some()),
            ("contact_user", contact_user.is_some()),
            ("unregistered", refuses.is_some()),
        ];
        if !wanted {
            return match keys.into_iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(file.missing("register", &format!("true beside {key}"))),
                None => Ok(None),
            };
        }
        if let Some(user) = &contact_user
            && (user.is_empty() || user.len() > 64 || sip::message::escape_user(user) != *user)
        {
            let rule = "1 to 64 characters that a URI's user may have";
            return Err(file.refuse("contact_user", rule, user));
        }
        let Some(registrar) = registrar else {
            return Err(file.missing("registrar", "where to register, or send_to"));
        };
        Ok(Some(Self {
            registrar,
            expires: expires.unwrap_or(secs(3_600)),
            contact_user,
            refuses: refuses.unwrap_or(false),
        }))
    }
}

impl Registration {
    /// One that is due at once. `lot` makes its Call-ID.
    pub fn new(now: Now, config: RegistrationConfig, lot: u64) -> Self {
        Self {
            config,
            call_id: format!("{lot:016x}"),
            cseq: 0,
            phase: Phase::Waiting { until: now },
            good_until: None,
            failures: 0,
            least: None,
            state: RegistrationState::Trying,
            since: now,
            reason: "not answered yet".to_owned(),
        }
    }

    /// As configured.
    pub fn config(&self) -> &RegistrationConfig {
        &self.config
    }

    /// Where it stands, since when, and why.
    pub fn state(&self) -> (RegistrationState, Now, &str) {
        (self.state, self.since, &self.reason)
    }

    /// Whether the registrar believes it now.
    pub fn stands(&self, now: Now) -> bool {
        self.good_until.is_some_and(|until| until > now)
    }

    /// The REGISTER that is due, if one is.
    pub fn due(&mut self, now: Now) -> Option<Register> {
        let Phase::Waiting { until } = self.phase else {
            return None;
        };
        if until > now {
            return None;
        }
        self.phase = Phase::Asking { brief: false };
        Some(self.register(self.config.expires.max(self.least.unwrap_or_default())))
    }

    /// Takes it back, for a server that goes down.
    pub fn leave(&mut self, now: Now) -> Option<Register> {
        if matches!(self.phase, Phase::Leaving | Phase::Left) {
            return None;
        }
        let stood = self.stands(now) || matches!(self.phase, Phase::Asking { .. });
        self.phase = if stood { Phase::Leaving } else { Phase::Left };
        self.good_until = None;
        self.turn(now, RegistrationState::Left, "taken back".to_owned());
        stood.then(|| self.register(Duration::ZERO))
    }

    /// When it has something to do next: [`Registration::due`], or a registration that lapses.
    pub fn deadline(&self) -> Option<Now> {
        let next = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Asking { .. } | Phase::Leaving | Phase::Left => None,
        };
        let registered = self.state == RegistrationState::Registered;
        let lapses = self.good_until.filter(|_| registered);
        next.into_iter().chain(lapses).min()
    }

    /// Notes that the time is over; `true` if it stood until now.
    pub fn lapse(&mut self, now: Now) -> bool {
        let over = self.good_until.is_some_and(|until| until <= now);
        if over {
            self.good_until = None;
        }
        over && self.turn(now, RegistrationState::Failed, self.reason.clone())
    }

    /// Takes what a REGISTER came to: `true` if its state changed. A 423 asks for one more, at once,
    /// which comes back.
    pub fn on_response(
        &mut self,
        now: Now,
        answer: Registered,
        lot: u64,
    ) -> (bool, Option<Register>) {
        let brief = match self.phase {
            Phase::Asking { brief } => brief,
            Phase::Leaving => {
                self.phase = Phase::Left;
                return (false, None);
            }
            Phase::Waiting { .. } | Phase::Left => return (false, None),
        };
        match (answer.status, answer.least) {
            (200..=299, _) => {
                let wanted = self.config.expires.max(self.least.unwrap_or_default());
                let granted = answer.granted.unwrap_or(wanted).max(GRANTED_MIN);
                // Somewhere from 80 to 90 %, so that many trunks do not refresh at once.
                let share = 80 + lot % 11;
                let after = granted * u32::try_from(share).unwrap_or(80) / 100;
                self.phase = Phase::Waiting { until: now + after };
                self.good_until = Some(now + granted);
                self.failures = 0;
                let why = format!("{} for {} s", answer.status, granted.as_secs());
                (self.turn(now, RegistrationState::Registered, why), None)
            }
            (423, Some(least)) if !brief && least <= LEAST_MAX => {
                self.least = Some(least);
                self.phase = Phase::Asking { brief: true };
                (false, Some(self.register(self.config.expires.max(least))))
            }
            (status, _) => {
                let until = now + back_off(self.failures, lot);
                self.failures = self.failures.saturating_add(1);
                self.phase = Phase::Waiting { until };
                let why = match status {
                    408 => "no answer to REGISTER".to_owned(),
                    status => format!("{status} to REGISTER"),
                };
                self.reason.clone_from(&why);
                let fails = !self.stands(now);
                let turned = fails && self.turn(now, RegistrationState::Failed, why);
                (turned, None)
            }
        }
    }

    fn register(&mut self, expires: Duration) -> Register {
        self.cseq += CSEQ_STEP;
        Register {
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            expires_secs: expires.as_secs(),
        }
    }

    fn turn(&mut self, now: Now, state: RegistrationState, reason: String) -> bool {
        self.reason = reason;
        if self.state == state {
            return false;
        }
        self.state = state;
        self.since = now;
        true
    }
}

/// How long to wait after that many failures in a row: 30 s, doubled each time up to 30 minutes, of
/// which a random half is left out (after RFC 5626 §4.5).
fn back_off(failures: u32, lot: u64) -> Duration {
    let most = BACK_OFF
        .saturating_mul(1 << failures.min(10))
        .min(BACK_OFF_MAX);
    let half = most / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(lot % millis)
}

impl RegistrationState {
    /// As logs and the API say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Registered => "registered",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for RegistrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far CSeq goes up from request to request: the SIP machine counts proofs in between.
pub const CSEQ_STEP: u32 = 8;
/// The first wait after a failure.
pub const BACK_OFF: Duration = Duration::from_secs(30);
/// The longest.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(1_800);
/// A registrar that grants less is not asked more often than this.
const GRANTED_MIN: Duration = Duration::from_secs(10);
/// A registrar that wants more than a day is not followed.
const LEAST_MAX: Duration = Duration::from_secs(86_400);
