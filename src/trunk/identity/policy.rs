//! What is believed of a trunk, and what it is sent: `[trunks.NAME.identity]`.

use crate::config::{ConfigError, Section};

/// A trunk's part in the identity of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityPolicy {
    /// Whether the trunk is within our trust domain (`trust`, RFC 3325 §2.3): what it asserts is
    /// believed, and it is told who calls even where the caller asked not to be shown, with the words
    /// that keep it from showing it further.
    pub trust: bool,
    /// Where it wants to read who calls (`send`).
    pub send: Sent,
    /// Whether a caller who asked not to be shown is hidden from it (`privacy`).
    pub honours_privacy: bool,
    /// Whether it learns by Diversion who sent a call on (`diversion`).
    pub diversion: bool,
    /// Whether it learns the same by History-Info (`history`).
    pub history: bool,
}

/// The headers that say who calls; From is always there, and says it only if `from` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// From names the caller; else the account we have at the trunk, if we have one.
    pub from: bool,
    /// P-Asserted-Identity (RFC 3325 §9.1).
    pub asserted: bool,
    /// P-Preferred-Identity (§9.2).
    pub preferred: bool,
    /// Remote-Party-ID (draft-ietf-sip-privacy-04), which some carriers still want.
    pub remote_party: bool,
}

impl IdentityPolicy {
    /// Of our endpoints: never believed, shown the caller by From, told nothing else.
    pub const ENDPOINT: Self = Self {
        trust: false,
        send: Sent {
            from: true,
            asserted: false,
            preferred: false,
            remote_party: false,
        },
        honours_privacy: true,
        diversion: false,
        history: false,
    };

    /// Of a trunk that says nothing: believed or not, shown the caller by From.
    pub const fn trusting(trust: bool) -> Self {
        Self {
            trust,
            diversion: trust,
            ..Self::ENDPOINT
        }
    }

    /// Reads `[trunks.NAME.identity]`. `trust_identity` is the older key beside it, which says the
    /// same as `trust`.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value; both keys, if they disagree.
    pub fn read(mut file: Section, trust_identity: Option<bool>) -> Result<Self, ConfigError> {
        let trust = file.boolean("trust")?;
        if let (Some(new), Some(old)) = (trust, trust_identity)
            && new != old
        {
            let rule = "what trust_identity says, or no trust_identity";
            return Err(file.refuse("trust", rule, &new.to_string()));
        }
        let usual = Self::trusting(trust.or(trust_identity).unwrap_or(true));
        let send = match file.text("send")? {
            None => usual.send,
            Some(text) => match Sent::parse(&text) {
                Some(send) => send,
                None => return Err(file.refuse("send", SEND_RULE, &text)),
            },
        };
        let words = [("send", true), ("drop", false)];
        let policy = Self {
            send,
            honours_privacy: file
                .one_of("privacy", &[("honour", true), ("ignore", false)])?
                .unwrap_or(usual.honours_privacy),
            diversion: file.one_of("diversion", &words)?.unwrap_or(usual.diversion),
            history: file.one_of("history", &words)?.unwrap_or(usual.history),
            trust: usual.trust,
        };
        file.finish()?;
        Ok(policy)
    }
}

impl Sent {
    /// Names with a plus sign between them, each once: `from+pai`.
    fn parse(text: &str) -> Option<Self> {
        let mut sent = Self {
            from: false,
            asserted: false,
            preferred: false,
            remote_party: false,
        };
        for word in text.split('+') {
            let flag = match word.trim() {
                "from" => &mut sent.from,
                "pai" => &mut sent.asserted,
                "ppi" => &mut sent.preferred,
                "rpid" => &mut sent.remote_party,
                _ => return None,
            };
            if std::mem::replace(flag, true) {
                return None;
            }
        }
        Some(sent)
    }
}

const SEND_RULE: &str = "\"from\", \"pai\", \"ppi\" or \"rpid\", or several with a plus sign between, such as \"from+pai\"";
