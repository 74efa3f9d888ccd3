//! What a trunk or an endpoint may do in a call that stands.

use crate::call::Dtmf;
use crate::config::{ConfigError, Section};

/// Keys of `[trunks.NAME]` and `[endpoints.NAME]` about calls that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// Whether its REFER hands the other party on (`refer`).
    pub refer: bool,
    /// How keys come and go (`dtmf`).
    pub dtmf: Dtmf,
}

impl Handling {
    /// A carrier's: whoever calls from outside must not make us dial.
    pub const TRUNK: Self = Self {
        refer: false,
        dtmf: Dtmf::Auto,
    };

    /// A device of ours.
    pub const ENDPOINT: Self = Self {
        refer: true,
        dtmf: Dtmf::Auto,
    };

    /// Reads the keys; what is not given is as in `usual`.
    pub(super) fn read(file: &mut Section, usual: Self) -> Result<Self, ConfigError> {
        Ok(Self {
            refer: file.boolean("refer")?.unwrap_or(usual.refer),
            dtmf: file.one_of("dtmf", &MODES)?.unwrap_or(usual.dtmf),
        })
    }
}

const MODES: [(&str, Dtmf); 4] = [
    ("auto", Dtmf::Auto),
    ("rfc4733", Dtmf::Rfc4733),
    ("info", Dtmf::Info),
    ("inband", Dtmf::InBand),
];
