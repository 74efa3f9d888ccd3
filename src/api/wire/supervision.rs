//! A call's supervisor and its parties on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::{CallId, Party};
use crate::conference::Mode;

/// Who supervises a call, and who of it hears him.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SupervisionJson {
    /// The supervisor's call: answered, with nobody else in it.
    pub supervisor: String,
    /// `listen`, `whisper` or `barge`.
    pub mode: String,
    /// Who hears a whisper, `caller` or `callee`; the callee if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Who alone is listened to, `caller` or `callee`; both if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// What a party of a call shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartyStateJson {
    /// Whether nobody hears it.
    pub(crate) muted: bool,
}

impl SupervisionJson {
    pub(crate) fn new(supervisor: CallId, mode: Mode) -> Self {
        let (to, of) = match mode {
            Mode::Whisper(party) => (Some(party), None),
            Mode::Tap(party) => (None, Some(party)),
            Mode::Listen | Mode::Barge => (None, None),
        };
        let name = |party: Party| party.name().to_owned();
        Self {
            supervisor: supervisor.to_string(),
            mode: mode.name().to_owned(),
            to: to.map(name),
            of: of.map(name),
        }
    }

    /// The mode that is meant, or what is wrong with its words.
    pub(crate) fn mode(&self) -> Result<Mode, String> {
        match (self.mode.as_str(), self.to.as_deref(), self.of.as_deref()) {
            ("listen", None, None) => Ok(Mode::Listen),
            ("listen", None, Some(of)) => party(of).map(Mode::Tap),
            ("barge", None, None) => Ok(Mode::Barge),
            ("whisper", to, None) => party(to.unwrap_or("callee")).map(Mode::Whisper),
            ("listen" | "barge", Some(_), _) => {
                Err("to: want it with the mode whisper alone".to_owned())
            }
            ("whisper" | "barge", _, Some(_)) => {
                Err("of: want it with the mode listen alone".to_owned())
            }
            (other, ..) => Err(format!(
                "mode: want listen, whisper or barge, have {other:?}"
            )),
        }
    }
}

/// The party of that name.
pub(crate) fn party(name: &str) -> Result<Party, String> {
    match name {
        "caller" => Ok(Party::Caller),
        "callee" => Ok(Party::Callee),
        _ => Err(format!("a party: want caller or callee, have {name:?}")),
    }
}
