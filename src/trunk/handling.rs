//! What a trunk or an endpoint may do in a call that stands.

use crate::config::{ConfigError, Section};

/// Keys of `[trunks.NAME]` and `[endpoints.NAME]` about calls that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// Whether its REFER hands the other party on (`refer`).
    pub refer: bool,
}

impl Handling {
    /// A carrier's: whoever calls from outside must not make us dial.
    pub const TRUNK: Self = Self { refer: false };

    /// A device of ours.
    pub const ENDPOINT: Self = Self { refer: true };

    /// Reads the keys; what is not given is as in `usual`.
    pub(super) fn read(file: &mut Section, usual: Self) -> Result<Self, ConfigError> {
        Ok(Self {
            refer: file.boolean("refer")?.unwrap_or(usual.refer),
        })
    }
}
