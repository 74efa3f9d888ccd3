//! A trunk's section: `[trunks.NAME]`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sip::auth::Credentials;
use sip::sdp::{Codec, CodecOrder};
use sip::transport::Transport;

use super::super::contact::Target;
use super::super::handling::Handling;
use super::super::identity::IdentityPolicy;
use super::super::numbers::{Numbers, SendForm};
use super::super::secrets::Secrets;
use super::super::source::{SOURCE_RULE, Source};
use super::{check_name, codecs, digest, list};
use crate::config::{ConfigError, Section};

/// A carrier relation: `[trunks.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Its name: what dialplans and records say.
    pub name: String,
    /// Who may call by it: the access list of true sources (`addresses`).
    pub sources: Vec<Source>,
    /// Where its calls are sent, best first (`send_to`, `transport`).
    pub targets: Vec<Target>,
    /// The name that its certificate must have, over TLS; the numeric address if `None` (`tls_name`).
    pub tls_name: Option<String>,
    /// What the carrier must prove besides its address (`inbound_user`, `inbound_password`, `digest`).
    pub inbound: Option<(String, Secrets)>,
    /// Who we are to the carrier (`user`, `password`, `realm`).
    pub credentials: Option<Credentials>,
    /// The codecs, best first; empty leaves them to the server.
    pub codecs: Vec<Codec>,
    /// Whose order counts when we answer (`codec_order`).
    pub codec_order: CodecOrder,
    /// New calls a second, both ways together.
    pub calls_per_second: Option<u32>,
    /// Calls at once, both ways together.
    pub calls: Option<u32>,
    /// How its numbers are read and written (`normalize`).
    pub numbers: Numbers,
    /// What it may do in a call that stands.
    pub handling: Handling,
    /// What is believed of it, and what it is shown, of who calls (`identity`, `trust_identity`).
    pub identity: IdentityPolicy,
}

impl TrunkConfig {
    /// Reads every trunk of the `trunks` section. `realm` is the server's, for inbound digest.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value: the first mistake found.
    pub fn read_all(trunks: Section, realm: &str) -> Result<Vec<Self>, ConfigError> {
        trunks
            .sections()?
            .into_iter()
            .map(|(name, section)| Self::read(name, section, realm))
            .collect()
    }

    fn read(name: String, mut file: Section, realm: &str) -> Result<Self, ConfigError> {
        check_name(&file, &name)?;
        let transport = file
            .one_of("transport", &TRANSPORTS)?
            .unwrap_or(Transport::Udp);
        let targets = targets(&mut file, transport)?;
        let sources = match list(&mut file, "addresses", SOURCE_RULE, |text| {
            text.parse().ok()
        })? {
            Some(sources) => sources,
            None => targets
                .iter()
                .map(|target| Source::host(target.address.ip()))
                .collect(),
        };
        let inbound = digest::inbound(&mut file, realm)?;
        if sources.is_empty() && targets.is_empty() && inbound.is_none() {
            return Err(file.missing("addresses", "who may call by it, or send_to"));
        }
        let trunk = Self {
            inbound,
            credentials: digest::credentials(&mut file)?,
            codecs: codecs(&mut file)?,
            codec_order: file.one_of("codec_order", &ORDERS)?.unwrap_or_default(),
            calls_per_second: cap(&mut file, "calls_per_second", 10_000)?,
            calls: cap(&mut file, "calls", 100_000)?,
            numbers: numbers(file.section("normalize")?)?,
            identity: {
                let old = file.boolean("trust_identity")?;
                IdentityPolicy::read(file.section("identity")?, old)?
            },
            tls_name: tls_name(&mut file, transport)?,
            handling: Handling::read(&mut file, Handling::TRUNK)?,
            name,
            sources,
            targets,
        };
        file.finish()?;
        Ok(trunk)
    }
}

fn targets(file: &mut Section, transport: Transport) -> Result<Vec<Target>, ConfigError> {
    let rule = "a numeric address with or without a port, such as 203.0.113.7:5060";
    let target = |text: &str| {
        let bare = |ip: IpAddr| SocketAddr::new(ip, transport.default_port());
        let address = text.parse().ok().or_else(|| text.parse().ok().map(bare))?;
        Some(Target { transport, address })
    };
    Ok(list(file, "send_to", rule, target)?.unwrap_or_default())
}

fn cap(file: &mut Section, key: &str, most: i64) -> Result<Option<u32>, ConfigError> {
    Ok(file
        .integer(key, 1..=most)?
        .and_then(|cap| u32::try_from(cap).ok()))
}

fn numbers(mut normalize: Section) -> Result<Numbers, ConfigError> {
    let send = normalize.one_of("send", &SEND_FORMS)?;
    let numbers = match normalize.text("country")? {
        None if send.is_none() => Numbers::AS_IS,
        None => return Err(normalize.missing("country", COUNTRY_RULE)),
        Some(country) => match Numbers::of(&country, send.unwrap_or_default()) {
            Some(numbers) => numbers,
            None => return Err(normalize.refuse("country", COUNTRY_RULE, &country)),
        },
    };
    normalize.finish()?;
    Ok(numbers)
}

fn tls_name(file: &mut Section, transport: Transport) -> Result<Option<String>, ConfigError> {
    match file.text("tls_name")? {
        Some(name) if transport != Transport::Tls => {
            Err(file.refuse("tls_name", "transport = \"tls\" beside it", &name))
        }
        name => Ok(name),
    }
}

impl fmt::Display for TrunkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const TRANSPORTS: [(&str, Transport); 3] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
];
const ORDERS: [(&str, CodecOrder); 2] =
    [("ours", CodecOrder::Ours), ("theirs", CodecOrder::Offerer)];
const SEND_FORMS: [(&str, SendForm); 3] = [
    ("e164", SendForm::E164),
    ("digits", SendForm::Digits),
    ("national", SendForm::National),
];
const COUNTRY_RULE: &str = "two capital letters of ISO 3166-1, such as \"FR\"";
