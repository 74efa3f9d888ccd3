//! The session timer of a trunk's calls (RFC 4028): `[trunks.NAME.session_timer]`.

use clock::Duration;
use sip::dialog::{TimerPolicy, TimerUse};

use crate::config::{ConfigError, Section};

/// What the trunk says of its calls' timers; what it does not say is the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerConfig {
    /// How they are used (`mode`).
    pub how: Option<TimerUse>,
    /// The interval we like (`expires`).
    pub expires: Option<Duration>,
    /// The shortest that is accepted (`min`).
    pub least: Option<Duration>,
}

impl TimerConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub(super) fn read(mut file: Section) -> Result<Self, ConfigError> {
        let bounds = Duration::from_secs(90)..=Duration::from_secs(86_400);
        let read = Self {
            how: file.one_of("mode", &MODES)?,
            expires: file.duration("expires", bounds.clone())?,
            least: file.duration("min", bounds)?,
        };
        let times = [("expires", read.expires), ("min", read.least)];
        for (key, time) in times {
            if let (Some(TimerUse::Refuse), Some(time)) = (read.how, time) {
                let rule = "nothing beside mode = \"refuse\"";
                return Err(file.refuse(key, rule, &format!("{}s", time.as_secs())));
            }
        }
        if let (Some(least), Some(expires)) = (read.least, read.expires)
            && least > expires
        {
            let value = format!("{}s", least.as_secs());
            return Err(file.refuse("min", "no more than expires beside it", &value));
        }
        file.finish()?;
        Ok(read)
    }

    /// What holds for the trunk's calls; `usual` is the server's.
    pub fn policy(&self, usual: TimerPolicy) -> TimerPolicy {
        let least = self.least.unwrap_or(match self.expires {
            Some(expires) => usual.least.min(expires),
            None => usual.least,
        });
        TimerPolicy {
            how: self.how.unwrap_or(usual.how),
            expires: self.expires.unwrap_or(usual.expires).max(least),
            least,
        }
    }
}

const MODES: [(&str, TimerUse); 4] = [
    ("refuse", TimerUse::Refuse),
    ("accept", TimerUse::Accept),
    ("ask", TimerUse::Ask),
    ("require", TimerUse::Require),
];
