//! An endpoint's section: `[endpoints.NAME]`.

use std::net::SocketAddr;

use sip::message::Uri;
use sip::sdp::Codec;

use super::super::contact::Target;
use super::super::fraud::{Limits, OwnerKind};
use super::super::handling::Handling;
use super::super::secrets::Secrets;
use super::super::source::{SOURCE_RULE, Source};
use super::{check_name, codecs, digest, is_name, list};
use crate::config::{ConfigError, Section};

/// A provisioned device: `[endpoints.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Its name: its user part, its user name in digest, what agents and dialplans say.
    pub name: String,
    /// What proves it; `None` for one that never calls or registers, only has a static contact.
    pub secrets: Option<Secrets>,
    /// Where it may be; empty means anywhere.
    pub sources: Vec<Source>,
    /// The codecs, best first; empty leaves them to the server.
    pub codecs: Vec<Codec>,
    /// Contacts it may have registered at once.
    pub contacts_max: usize,
    /// A place where it can always be rung, registered or not: its URI and address (`contact`).
    pub contact: Option<(String, Target)>,
    /// The number that its calls show; its name if `None` (`caller_id`).
    pub caller_id: Option<String>,
    /// Where its calls may go, how many there may be, and what they may cost (`limits`).
    pub limits: Limits,
    /// What it may do in a call that stands.
    pub handling: Handling,
}

impl EndpointConfig {
    /// Reads every endpoint of the `endpoints` section. `realm` is the server's.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: the first mistake found.
    pub fn read_all(endpoints: Section, realm: &str) -> Result<Vec<Self>, ConfigError> {
        endpoints
            .sections()?
            .into_iter()
            .map(|(name, section)| Self::read(name, section, realm))
            .collect()
    }

    fn read(name: String, mut file: Section, realm: &str) -> Result<Self, ConfigError> {
        check_name(&file, &name)?;
        let digests = digest::digests(&mut file)?;
        let secrets = digest::secrets(&mut file, &name, realm, digests)?;
        let contact = contact(&mut file)?;
        if secrets.is_none() && contact.is_none() {
            return Err(file.missing("password", "a password, ha1_md5, ha1_sha256 or a contact"));
        }
        let sources = list(&mut file, "sources", SOURCE_RULE, |text| text.parse().ok())?;
        let endpoint = Self {
            sources: sources.unwrap_or_default(),
            codecs: codecs(&mut file)?,
            contacts_max: file
                .integer("contacts", 1..=64)?
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(CONTACTS_DEFAULT),
            caller_id: caller_id(&mut file)?,
            limits: Limits::read(file.section("limits")?, OwnerKind::Endpoint)?,
            handling: Handling::read(&mut file, Handling::ENDPOINT)?,
            name,
            secrets,
            contact,
        };
        file.finish()?;
        Ok(endpoint)
    }

    /// An agent's page: it proves itself by a token alone. `None` if that cannot be an endpoint's name.
    pub fn page(name: &str) -> Option<Self> {
        is_name(name).then(|| Self {
            name: name.to_owned(),
            secrets: None,
            sources: Vec::new(),
            codecs: Vec::new(),
            contacts_max: CONTACTS_DEFAULT,
            contact: None,
            caller_id: None,
            limits: Limits::default(),
            handling: Handling::ENDPOINT,
        })
    }

    /// Whether a text can be what calls show: it goes into URIs and records.
    pub fn may_show(caller_id: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+*#-_.".contains(&byte);
        (1..=64).contains(&caller_id.len()) && caller_id.bytes().all(plain)
    }

    /// Whether it may be at this address.
    pub fn may_be_at(&self, remote: SocketAddr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source.contains(remote))
    }
}

fn contact(file: &mut Section) -> Result<Option<(String, Target)>, ConfigError> {
    let Some(text) = file.text("contact")? else {
        return Ok(None);
    };
    let target = Uri::parse(&text).ok().and_then(|uri| Target::of_uri(&uri));
    match target {
        Some(target) => Ok(Some((text, target))),
        None => {
            let rule = "a SIP URI with a numeric address, such as sip:desk@192.0.2.7:5060";
            Err(file.refuse("contact", rule, &text))
        }
    }
}

fn caller_id(file: &mut Section) -> Result<Option<String>, ConfigError> {
    match file.text("caller_id")? {
        Some(text) if !EndpointConfig::may_show(&text) => {
            Err(file.refuse("caller_id", CALLER_ID_RULE, &text))
        }
        shown => Ok(shown),
    }
}

/// What [`EndpointConfig::may_show`] asks for, in words.
pub const CALLER_ID_RULE: &str =
    "a number such as +33123456789, or 1 to 64 letters, digits, '+', '*', '#', '-', '_' and '.'";
/// Desk phone, soft phone, mobile phone, and as many stale ones.
const CONTACTS_DEFAULT: usize = 8;
