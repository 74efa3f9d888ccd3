//! A trunk's section: `[trunks.NAME]`.

use std::fmt;

use sip::auth::Credentials;
use sip::sdp::{Codec, CodecOrder};

use super::super::fraud::{Limits, OwnerKind};
use super::super::handling::Handling;
use super::super::health::HealthConfig;
use super::super::hop::{Host, NextHop, SendTo};
use super::super::identity::IdentityPolicy;
use super::super::numbers::{Numbers, SendForm};
use super::super::outbound::RegistrationConfig;
use super::super::rewrite::{HeaderRule, NumberRules};
use super::super::route::Routing;
use super::super::secrets::Secrets;
use super::super::source::{ADDRESS_RULE, Source};
use super::super::timers::TimerConfig;
use super::tls::TrunkTls;
use super::{check_name, codecs, digest, list, target};
use crate::config::{ConfigError, Section};

/// A carrier relation: `[trunks.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Its name: what dialplans and records say.
    pub name: String,
    /// Who may call by it: the access list of true sources (`addresses`).
    pub sources: Vec<Source>,
    /// Names among `addresses`: whatever they are looked up to be may call by it too.
    pub source_names: Vec<NextHop>,
    /// Where its calls are sent (`send_to`, `transport`).
    pub targets: Vec<SendTo>,
    /// How they are led from target to target (`redirect`, `target_timeout`).
    pub routing: Routing,
    /// Through whom every call goes (`proxy`): it stands in a Route header (RFC 3261 §8.1.2).
    pub proxy: Option<NextHop>,
    /// Our registration with the carrier (`register`).
    pub registration: Option<RegistrationConfig>,
    /// What becomes of prefixes (`numbers`).
    pub rules: NumberRules,
    /// What is changed in the headers of an INVITE to the carrier (`headers`).
    pub headers: Vec<HeaderRule>,
    /// What is changed in those of an INVITE from the carrier, before anything reads it (`headers_in`).
    pub headers_in: Vec<HeaderRule>,
    /// The session timer of its calls (`session_timer`).
    pub timers: TimerConfig,
    /// How the targets are watched (`health`).
    pub health: Option<HealthConfig>,
    /// What is proven over TLS, by either side (`tls_name`, `tls_certificate`, `tls_key`, `tls_caller`).
    pub tls: TrunkTls,
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
    /// Whether a refusal tells the peer why (`explain_header`).
    pub explain_header: bool,
    /// How its numbers are read and written (`normalize`).
    pub numbers: Numbers,
    /// What it may do in a call that stands.
    pub handling: Handling,
    /// Where its calls may go, and what they may cost (`limits`).
    pub limits: Limits,
    /// What is believed of it, and what it is shown, of who calls (`identity`, `trust_identity`).
    pub identity: IdentityPolicy,
    /// Whether the hosts that its targets are looked up to be may call by it: where `addresses` is not
    /// given.
    pub learns: bool,
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

    /// A trunk by which nobody calls and that sends nowhere: what every key holds that is not given.
    pub fn bare(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sources: Vec::new(),
            source_names: Vec::new(),
            targets: Vec::new(),
            routing: Routing::USUAL,
            proxy: None,
            registration: None,
            rules: NumberRules::default(),
            headers: Vec::new(),
            headers_in: Vec::new(),
            timers: TimerConfig::default(),
            health: None,
            tls: TrunkTls::default(),
            inbound: None,
            credentials: None,
            codecs: Vec::new(),
            codec_order: CodecOrder::default(),
            calls_per_second: None,
            calls: None,
            explain_header: false,
            numbers: Numbers::AS_IS,
            limits: Limits::default(),
            identity: IdentityPolicy::trusting(true),
            handling: Handling::TRUNK,
            learns: false,
        }
    }

    /// Whether it is known by its credentials alone, wherever it comes from.
    pub fn is_roaming(&self) -> bool {
        let listed = !self.sources.is_empty() || !self.source_names.is_empty();
        !listed && self.targets.is_empty() && self.tls.caller.is_none()
    }

    /// A number in the form in which it goes to the carrier.
    pub fn sent_number(&self, number: &str) -> String {
        self.rules.on_sent(&self.numbers.sent(number)).into_owned()
    }

    /// A number as this server keeps it, from the form in which the carrier sent it.
    pub fn received_number(&self, number: &str) -> String {
        self.numbers.received(&self.rules.on_received(number))
    }

    fn read(name: String, mut file: Section, realm: &str) -> Result<Self, ConfigError> {
        check_name(&file, &name)?;
        let transport = file.one_of("transport", &target::TRANSPORTS)?;
        let targets = target::send_to(&mut file, transport)?;
        let named = addresses(&mut file)?;
        let tls = TrunkTls::read(&mut file, &targets)?;
        // Who is known by his certificate is not known by an address that nobody named.
        let learns = named.is_none() && tls.caller.is_none();
        let (sources, source_names) = named.unwrap_or_else(|| {
            let own = targets.iter().filter(|_| learns);
            (own.filter_map(numeric).collect(), Vec::new())
        });
        let inbound = digest::inbound(&mut file, realm)?;
        let known = inbound.is_some() || tls.caller.is_some();
        let nobody = sources.is_empty() && source_names.is_empty() && targets.is_empty();
        if nobody && !known {
            return Err(file.missing("addresses", "who may call by it, or send_to"));
        }
        let headers_in = HeaderRule::read_all(&mut file, "headers_in")?;
        if nobody && !headers_in.is_empty() {
            // Whose it is shows when it has proven itself: by then it was read.
            return Err(file.missing("addresses", "whose calls they are, beside headers_in"));
        }
        let trunk = Self {
            routing: target::routing(&mut file)?,
            proxy: target::proxy(&mut file, transport)?,
            registration: RegistrationConfig::read(&mut file, &targets)?,
            rules: NumberRules::read(file.section("numbers")?)?,
            headers: HeaderRule::read_all(&mut file, "headers")?,
            headers_in,
            timers: TimerConfig::read(file.section("session_timer")?)?,
            health: HealthConfig::read(file.section("health")?)?,
            inbound,
            credentials: digest::credentials(&mut file)?,
            codecs: codecs(&mut file)?,
            codec_order: file.one_of("codec_order", &ORDERS)?.unwrap_or_default(),
            calls_per_second: cap(&mut file, "calls_per_second", 10_000)?,
            calls: cap(&mut file, "calls", 100_000)?,
            explain_header: file.boolean("explain_header")?.unwrap_or(false),
            numbers: numbers(file.section("normalize")?)?,
            limits: Limits::read(file.section("limits")?, OwnerKind::Trunk)?,
            identity: {
                let old = file.boolean("trust_identity")?;
                IdentityPolicy::read(file.section("identity")?, old)?
            },
            tls,
            handling: Handling::read(&mut file, Handling::TRUNK)?,
            name,
            learns,
            sources,
            source_names,
            targets,
        };
        file.finish()?;
        Ok(trunk)
    }
}

/// Addresses and networks, and names that have to be looked up.
type AccessList = (Vec<Source>, Vec<NextHop>);

/// Reads the access list.
fn addresses(file: &mut Section) -> Result<Option<AccessList>, ConfigError> {
    let read = |text: &str| match text.parse() {
        Ok(source) => Some((Some(source), None)),
        Err(_) => Some((None, Some(name_of(text)?))),
    };
    let Some(items) = list(file, "addresses", ADDRESS_RULE, read)? else {
        return Ok(None);
    };
    let (sources, names): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    let names: Vec<NextHop> = names.into_iter().flatten().collect();
    if names.len() > NAMES_MAX {
        let rule = format!("at most {NAMES_MAX} names");
        return Err(file.refuse("addresses", &rule, &names.len().to_string()));
    }
    Ok(Some((sources.into_iter().flatten().collect(), names)))
}

/// A name of an access list. Its last label begins with a letter: what does not is a mistyped address.
fn name_of(text: &str) -> Option<NextHop> {
    let host = Host::parse(text)?;
    let last = host.name()?.rsplit('.').next()?;
    let is_name = last.starts_with(|c: char| c.is_ascii_alphabetic());
    is_name.then_some(NextHop {
        host,
        port: None,
        transport: None,
    })
}

/// The access-list entry of a target that is an address.
fn numeric(target: &SendTo) -> Option<Source> {
    match target.hop.host {
        Host::Ip(ip) => Some(Source::host(ip)),
        Host::Name(_) => None,
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

impl fmt::Display for TrunkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const ORDERS: [(&str, CodecOrder); 2] =
    [("ours", CodecOrder::Ours), ("theirs", CodecOrder::Offerer)];
const SEND_FORMS: [(&str, SendForm); 3] = [
    ("e164", SendForm::E164),
    ("digits", SendForm::Digits),
    ("national", SendForm::National),
];
/// Names in one access list: each costs questions to DNS for as long as the server runs.
const NAMES_MAX: usize = 16;
const COUNTRY_RULE: &str = "two capital letters of ISO 3166-1, such as \"FR\"";
