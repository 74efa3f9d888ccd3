//! Trunks and endpoints as an operator writes them: sections of the configuration file become values
//! that are right, or an error names the key, the rule and the value.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sip::auth::{self, Algorithm, Credentials, Ha1};
use sip::message::Uri;
use sip::sdp::{Codec, CodecOrder};
use sip::transport::Transport;

use super::contact::Target;
use super::numbers::{Numbers, SendForm};
use super::secrets::{Digests, Secrets};
use super::source::{SOURCE_RULE, Source};
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
    /// Whether the caller is whom P-Asserted-Identity names (`trust_identity`, RFC 3325).
    pub trust_identity: bool,
}

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
        let inbound = inbound(&mut file, realm)?;
        if sources.is_empty() && targets.is_empty() && inbound.is_none() {
            return Err(file.missing("addresses", "who may call by it, or send_to"));
        }
        let trunk = Self {
            inbound,
            credentials: credentials(&mut file)?,
            codecs: codecs(&mut file)?,
            codec_order: file.one_of("codec_order", &ORDERS)?.unwrap_or_default(),
            calls_per_second: cap(&mut file, "calls_per_second", 10_000)?,
            calls: cap(&mut file, "calls", 100_000)?,
            numbers: numbers(file.section("normalize")?)?,
            trust_identity: file.boolean("trust_identity")?.unwrap_or(true),
            tls_name: tls_name(&mut file, transport)?,
            name,
            sources,
            targets,
        };
        file.finish()?;
        Ok(trunk)
    }
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
        let digests = file.one_of("digest", &DIGESTS)?.unwrap_or_default();
        let secrets = secrets(&mut file, &name, realm, digests)?;
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
            name,
            secrets,
            contact,
        };
        file.finish()?;
        Ok(endpoint)
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

/// A name stands in URIs, file names and logs: letters, digits, `-`, `_`, `.`, 64 at most.
fn check_name(file: &Section, name: &str) -> Result<(), ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: file.path().to_owned(),
        rule: "a name of 1 to 64 letters, digits, '-', '_' and '.'".to_owned(),
        value: format!("\"{name}\""),
    })
}

/// A list of texts, each read by `parse`.
fn list<T>(
    file: &mut Section,
    key: &str,
    rule: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some(texts) = file.texts(key)? else {
        return Ok(None);
    };
    let parsed = texts
        .iter()
        .map(|text| parse(text).ok_or_else(|| file.refuse(key, rule, text)));
    parsed.collect::<Result<_, _>>().map(Some)
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

fn codecs(file: &mut Section) -> Result<Vec<Codec>, ConfigError> {
    let codecs = list(file, "codecs", "\"pcma\" or \"pcmu\"", Codec::from_name)?;
    let codecs = codecs.unwrap_or_default();
    let repeated = codecs
        .iter()
        .enumerate()
        .find(|&(index, codec)| codecs.iter().take(index).any(|earlier| earlier == codec));
    match repeated {
        Some((_, codec)) => Err(file.refuse("codecs", "each codec once", codec.encoding())),
        None => Ok(codecs),
    }
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

fn inbound(file: &mut Section, realm: &str) -> Result<Option<(String, Secrets)>, ConfigError> {
    let digests = file.one_of("digest", &DIGESTS)?.unwrap_or_default();
    let user = file.text("inbound_user")?;
    let password = file.secret("inbound_password")?;
    match (user, password) {
        (Some(user), Some(password)) => {
            let secrets = Secrets::from_password(&user, realm, &password, digests);
            Ok(Some((user, secrets)))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(file.missing("inbound_password", "the password of inbound_user")),
        (None, Some(_)) => Err(file.missing("inbound_user", "the user of inbound_password")),
    }
}

fn credentials(file: &mut Section) -> Result<Option<Credentials>, ConfigError> {
    let (user, password) = (file.text("user")?, file.secret("password")?);
    let realm = file.text("realm")?;
    match (user, password) {
        (Some(user), Some(password)) => Ok(Some(Credentials {
            user,
            secret: auth::Secret::Password(password),
            realm,
        })),
        (None, None) if realm.is_some() => Err(file.missing("user", "the user of that realm")),
        (None, None) => Ok(None),
        (Some(_), None) => Err(file.missing("password", "the password of user")),
        (None, Some(_)) => Err(file.missing("user", "the user of password")),
    }
}

/// A password, or hashes made elsewhere; not both, so that it is clear what counts.
fn secrets(
    file: &mut Section,
    user: &str,
    realm: &str,
    digests: Digests,
) -> Result<Option<Secrets>, ConfigError> {
    let password = file.secret("password")?;
    let mut hashes = Vec::new();
    for (key, algorithm, rule) in HASHES {
        if let Some(text) = file.secret(key)? {
            let hash = Ha1::from_hex(&text, algorithm);
            hashes.push(hash.ok_or_else(|| hidden(file, key, rule))?);
        }
    }
    match (password, hashes.is_empty()) {
        (Some(_), false) => Err(hidden(file, "password", "either a password or hashes")),
        (Some(password), true) if password.is_empty() => {
            Err(hidden(file, "password", "a password that is not empty"))
        }
        (Some(password), true) => Ok(Some(Secrets::from_password(
            user, realm, &password, digests,
        ))),
        (None, true) => Ok(None),
        (None, false) => match Secrets::from_hashes(hashes, digests) {
            Ok(secrets) => Ok(Some(secrets)),
            Err(missing) => {
                let wanted = HASHES
                    .iter()
                    .find(|&&(_, algorithm, _)| algorithm == missing);
                let (key, rule) = wanted.map_or(("password", ""), |&(key, _, rule)| (key, rule));
                Err(file.missing(key, rule))
            }
        },
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

fn tls_name(file: &mut Section, transport: Transport) -> Result<Option<String>, ConfigError> {
    match file.text("tls_name")? {
        Some(name) if transport != Transport::Tls => {
            Err(file.refuse("tls_name", "transport = \"tls\" beside it", &name))
        }
        name => Ok(name),
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

/// The error for a value that must not be shown.
fn hidden(file: &Section, key: &str, rule: &str) -> ConfigError {
    ConfigError::Value {
        key: file.key(key),
        rule: rule.to_owned(),
        value: "(hidden)".to_owned(),
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
const DIGESTS: [(&str, Digests); 3] = [
    ("md5", Digests::Md5),
    ("sha-256", Digests::Sha256),
    ("both", Digests::Both),
];
const SEND_FORMS: [(&str, SendForm); 3] = [
    ("e164", SendForm::E164),
    ("digits", SendForm::Digits),
    ("national", SendForm::National),
];
const HASHES: [(&str, Algorithm, &str); 2] = [
    (
        "ha1_md5",
        Algorithm::Md5,
        "32 hexadecimal digits: MD5 of user:realm:password",
    ),
    (
        "ha1_sha256",
        Algorithm::Sha256,
        "64 hexadecimal digits: SHA-256 of user:realm:password",
    ),
];
const COUNTRY_RULE: &str = "two capital letters of ISO 3166-1, such as \"FR\"";
/// What [`EndpointConfig::may_show`] asks for, in words.
pub const CALLER_ID_RULE: &str =
    "a number such as +33123456789, or 1 to 64 letters, digits, '+', '*', '#', '-', '_' and '.'";
/// Desk phone, soft phone, mobile phone, and as many stale ones.
const CONTACTS_DEFAULT: usize = 8;
