//! What a trunk or an endpoint may do in a call that stands.

use crate::call::{Dtmf, Reach, VoicePolicy};
use crate::config::{ConfigError, Section};

/// Keys of `[trunks.NAME]` and `[endpoints.NAME]` about calls that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// Whether its REFER hands the other party on (`refer`).
    pub refer: bool,
    /// How keys come and go (`dtmf`).
    pub dtmf: Dtmf,
    /// Whether packets that repeat those before them are offered and taken (`redundancy`).
    pub redundancy: bool,
    /// Whether its sound is encrypted (`srtp`).
    pub srtp: SrtpPolicy,
    /// Whether keys for that may stand in signalling that is not (`srtp_keys_in_clear`).
    pub srtp_keys_in_clear: bool,
    /// What is done with its voice (`echo`, `noise`, `gain`, `talk_events`).
    pub voice: VoicePolicy,
}

/// Whether a peer's sound is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Never.
    #[default]
    Off,
    /// When the peer can.
    Optional,
    /// Always, or there is no call.
    Required,
}

impl Handling {
    /// A carrier's: whoever calls from outside must not make us dial.
    pub const TRUNK: Self = Self {
        refer: false,
        dtmf: Dtmf::Auto,
        redundancy: false,
        srtp: SrtpPolicy::Off,
        srtp_keys_in_clear: false,
        voice: VOICE,
    };

    /// A device of ours.
    pub const ENDPOINT: Self = Self {
        refer: true,
        dtmf: Dtmf::Auto,
        redundancy: false,
        srtp: SrtpPolicy::Off,
        srtp_keys_in_clear: false,
        voice: VOICE,
    };

    /// What an operator should know of these settings, if anything; `section` is theirs.
    pub fn warning(&self, section: &str) -> Option<String> {
        let key = format!("{section}.srtp_keys_in_clear");
        match (self.srtp_keys_in_clear, self.srtp) {
            (false, _) => None,
            (true, SrtpPolicy::Off) => Some(format!(
                "{key}: has no effect while {section}.srtp is \"off\""
            )),
            (true, _) => Some(format!(
                "{key}: where signalling is not over TLS, whoever sees it has the keys and hears the \
                 calls; use TLS and leave it out"
            )),
        }
    }

    /// Reads the keys; what is not given is as in `usual`.
    pub(super) fn read(file: &mut Section, usual: Self) -> Result<Self, ConfigError> {
        Ok(Self {
            refer: file.boolean("refer")?.unwrap_or(usual.refer),
            dtmf: file.one_of("dtmf", &MODES)?.unwrap_or(usual.dtmf),
            redundancy: file.boolean("redundancy")?.unwrap_or(usual.redundancy),
            srtp: file.one_of("srtp", &POLICIES)?.unwrap_or(usual.srtp),
            srtp_keys_in_clear: file
                .boolean("srtp_keys_in_clear")?
                .unwrap_or(usual.srtp_keys_in_clear),
            voice: voice(file, usual.voice)?,
        })
    }
}

fn voice(file: &mut Section, usual: VoicePolicy) -> Result<VoicePolicy, ConfigError> {
    Ok(VoicePolicy {
        echo: file.one_of("echo", &REACHES)?.unwrap_or(usual.echo),
        noise: file.one_of("noise", &REACHES)?.unwrap_or(usual.noise),
        gain: file.one_of("gain", &REACHES)?.unwrap_or(usual.gain),
        talk: file.boolean("talk_events")?.unwrap_or(usual.talk),
    })
}

/// Who listens by a tap hears the voice alone; between people nothing is changed unasked.
const VOICE: VoicePolicy = VoicePolicy {
    echo: Reach::Tap,
    noise: Reach::Tap,
    gain: Reach::Tap,
    talk: false,
};

const REACHES: [(&str, Reach); 3] = [
    ("off", Reach::Off),
    ("tap", Reach::Tap),
    ("leg", Reach::Leg),
];

const POLICIES: [(&str, SrtpPolicy); 3] = [
    ("off", SrtpPolicy::Off),
    ("optional", SrtpPolicy::Optional),
    ("required", SrtpPolicy::Required),
];

const MODES: [(&str, Dtmf); 4] = [
    ("auto", Dtmf::Auto),
    ("rfc4733", Dtmf::Rfc4733),
    ("info", Dtmf::Info),
    ("inband", Dtmf::InBand),
];
