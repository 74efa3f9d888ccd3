//! Typed views of header values, read when asked for.
//!
//! A header every message must have gives `Result<T, _>`; one that may be absent gives
//! `Result<Option<T>, _>`; a list gives an iterator of `Result`s across lines and commas. Faults
//! carry their offset in the message and a 400 for a request that may be answered.

use super::address::{self, NameAddr, take_params};
use super::replaces::Replaces;
use super::scan::{Scan, split_values};
use super::uri::Params;
use super::via::Via;
use super::{ErrorKind, Message, Method, Name, ParseError};

/// The value of CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2³¹ (§8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method,
    /// The method as spelled.
    pub method_str: &'a str,
}

impl<'a> CSeq<'a> {
    /// Reads a value that is all of `text`.
    ///
    /// # Errors
    /// Anything but a number below 2³¹, a blank and a method.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut scan = Scan::new(text);
        let number = take_u32(&mut scan, 0x7fff_ffff, "a number below 2^31")?;
        let method_str = take_method(&mut scan)?;
        scan.finish("the end")?;
        Ok(Self {
            number,
            method: Method::from_text(method_str),
            method_str,
        })
    }
}

/// The value of RAck (RFC 3262 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the response that is acknowledged.
    pub rseq: u32,
    /// The CSeq of that response.
    pub cseq: CSeq<'a>,
}

/// Seconds with parameters: Session-Expires, Retry-After (RFC 4028 §4, RFC 3261 §20.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deltas<'a> {
    /// Seconds.
    pub seconds: u32,
    /// `refresher`, `duration` …
    pub params: Params<'a>,
}

/// `type/subtype` with parameters (RFC 3261 §20.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// `application`, `text`, `multipart` …
    pub kind: &'a str,
    /// `sdp`, `plain`, `mixed` …
    pub subtype: &'a str,
    /// `boundary`, `charset` …
    pub params: Params<'a>,
}

impl MediaType<'_> {
    /// Whether this is `kind/subtype`, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }
}

/// One value of Reason (RFC 3326).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` …
    pub protocol: &'a str,
    /// The status or the cause, where one is given.
    pub cause: Option<u16>,
    /// Words for people, without their quotes.
    pub text: &'a str,
}

/// A token with parameters: Event, Subscription-State, Content-Disposition (RFC 6665 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labelled<'a> {
    /// `refer`, `active`, `session` …
    pub label: &'a str,
    /// `id`, `expires`, `handling` …
    pub params: Params<'a>,
}

impl Message {
    /// Who the request is from (RFC 3261 §20.20).
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn from(&self) -> Result<NameAddr<'_>, ParseError> {
        self.needed(Name::From, NameAddr::parse)
    }

    /// Whom the request is for (§20.39).
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn to(&self) -> Result<NameAddr<'_>, ParseError> {
        self.needed(Name::To, NameAddr::parse)
    }

    /// The `tag` of From, for little: its URI is not looked at.
    pub fn from_tag(&self) -> Option<&str> {
        self.header(Name::From).and_then(address::tag)
    }

    /// The `tag` of To, for as little.
    pub fn to_tag(&self) -> Option<&str> {
        self.header(Name::To).and_then(address::tag)
    }

    /// Whether To can be read and has no tag: the message is of no dialog.
    pub fn is_untagged(&self) -> bool {
        self.to_tag().is_none() && self.to().is_ok()
    }

    /// Call-ID (§20.8): one word of printable characters.
    ///
    /// # Errors
    /// Missing, empty, or with a blank in it.
    pub fn call_id(&self) -> Result<&str, ParseError> {
        self.needed(Name::CallId, take_call_id)
    }

    /// CSeq.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn cseq(&self) -> Result<CSeq<'_>, ParseError> {
        self.needed(Name::CSeq, CSeq::parse)
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// Missing or malformed; those below it are not looked at.
    pub fn via(&self) -> Result<Via<'_>, ParseError> {
        self.vias()
            .next()
            .unwrap_or_else(|| Err(self.missing(Name::Via)))
    }

    /// Every Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ParseError>> {
        self.list(Name::Via, Via::parse)
    }

    /// Every Contact (§20.10); `*` is a fault here: see [`is_contact_star`](Self::is_contact_star).
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::Contact, NameAddr::parse)
    }

    /// The first Contact: in a dialog, where the peer wants further requests.
    ///
    /// # Errors
    /// Malformed.
    pub fn contact(&self) -> Result<Option<NameAddr<'_>>, ParseError> {
        self.contacts().next().transpose()
    }

    /// Whether this REGISTER removes every binding (§10.2.2).
    pub fn is_contact_star(&self) -> bool {
        self.header(Name::Contact) == Some("*")
    }

    /// Every Route, next hop first (§20.34).
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::Route, NameAddr::parse)
    }

    /// Every Record-Route, topmost first (§20.30).
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::RecordRoute, NameAddr::parse)
    }

    /// Every Path, topmost first (RFC 3327).
    pub fn paths(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::Path, NameAddr::parse)
    }

    /// Whom a trusted peer says the caller is (RFC 3325 §9.1).
    pub fn asserted_identities(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::PAssertedIdentity, NameAddr::parse)
    }

    /// Who diverted the call, latest first (RFC 5806).
    pub fn diversions(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.list(Name::Diversion, NameAddr::parse)
    }

    /// Where a REFER points (RFC 3515 §2.1).
    ///
    /// # Errors
    /// Malformed.
    pub fn refer_to(&self) -> Result<Option<NameAddr<'_>>, ParseError> {
        self.maybe(Name::ReferTo, NameAddr::parse)
    }

    /// Who asked for the transfer (RFC 3892).
    ///
    /// # Errors
    /// Malformed.
    pub fn referred_by(&self) -> Result<Option<NameAddr<'_>>, ParseError> {
        self.maybe(Name::ReferredBy, NameAddr::parse)
    }

    /// Hops left, 0 to 255 (§20.22).
    ///
    /// # Errors
    /// Malformed.
    pub fn max_forwards(&self) -> Result<Option<u8>, ParseError> {
        self.maybe(Name::MaxForwards, |text| {
            let mut scan = Scan::new(text);
            let hops = scan.number(255, "a number up to 255")?;
            scan.finish("the end")?;
            Ok(u8::try_from(hops).unwrap_or(u8::MAX))
        })
    }

    /// Expires, in seconds (§20.19).
    ///
    /// # Errors
    /// Malformed.
    pub fn expires(&self) -> Result<Option<u32>, ParseError> {
        self.maybe(Name::Expires, take_seconds)
    }

    /// Min-Expires, in seconds (§20.23).
    ///
    /// # Errors
    /// Malformed.
    pub fn min_expires(&self) -> Result<Option<u32>, ParseError> {
        self.maybe(Name::MinExpires, take_seconds)
    }

    /// Session-Expires with its `refresher` (RFC 4028 §4).
    ///
    /// # Errors
    /// Malformed.
    pub fn session_expires(&self) -> Result<Option<Deltas<'_>>, ParseError> {
        self.maybe(Name::SessionExpires, take_deltas)
    }

    /// Min-SE, in seconds (RFC 4028 §5).
    ///
    /// # Errors
    /// Malformed.
    pub fn min_se(&self) -> Result<Option<u32>, ParseError> {
        Ok(self
            .maybe(Name::MinSe, take_deltas)?
            .map(|deltas| deltas.seconds))
    }

    /// Retry-After, in seconds, its comment passed over (§20.33).
    ///
    /// # Errors
    /// Malformed.
    pub fn retry_after(&self) -> Result<Option<Deltas<'_>>, ParseError> {
        self.maybe(Name::RetryAfter, take_deltas)
    }

    /// RSeq of a reliable provisional response (RFC 3262 §7.1).
    ///
    /// # Errors
    /// Malformed.
    pub fn rseq(&self) -> Result<Option<u32>, ParseError> {
        self.maybe(Name::RSeq, take_seconds)
    }

    /// RAck of a PRACK (RFC 3262 §7.2).
    ///
    /// # Errors
    /// Malformed.
    pub fn rack(&self) -> Result<Option<RAck<'_>>, ParseError> {
        self.maybe(Name::RAck, |text| {
            let mut scan = Scan::new(text);
            let rseq = take_u32(&mut scan, u32::MAX, "a number")?;
            scan.skip_spaces();
            let base = scan.at();
            let cseq = CSeq::parse(scan.rest()).map_err(|error| shifted(error, base))?;
            Ok(RAck { rseq, cseq })
        })
    }

    /// What the body is (§20.15).
    ///
    /// # Errors
    /// Malformed.
    pub fn content_type(&self) -> Result<Option<MediaType<'_>>, ParseError> {
        self.maybe(Name::ContentType, take_media_type)
    }

    /// Each type the sender can read, most general ones with it (§20.1).
    pub fn accepts(&self) -> impl Iterator<Item = Result<MediaType<'_>, ParseError>> {
        self.list(Name::Accept, take_media_type)
    }

    /// Each Reason (RFC 3326 §2).
    pub fn reasons(&self) -> impl Iterator<Item = Result<Reason<'_>, ParseError>> {
        self.list(Name::Reason, |text| {
            let mut scan = Scan::new(text);
            let protocol = scan.token("a protocol")?;
            let params = take_params(&mut scan)?;
            scan.finish("a parameter or the end")?;
            let cause = params.get("cause").and_then(|cause| cause.parse().ok());
            Ok(Reason {
                protocol,
                cause,
                text: params.get("text").unwrap_or_default(),
            })
        })
    }

    /// The Q.850 cause that a Reason gives.
    pub fn q850(&self) -> Option<u16> {
        let is_q850 = |reason: &Reason<'_>| reason.protocol.eq_ignore_ascii_case("Q.850");
        self.reasons().flatten().find(is_q850)?.cause
    }

    /// Which dialog this INVITE takes the place of (RFC 3891).
    ///
    /// # Errors
    /// Malformed, or without its tags.
    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, ParseError> {
        self.maybe(Name::Replaces, Replaces::parse)
    }

    /// Which dialog the sender knows of (RFC 4538).
    ///
    /// # Errors
    /// Malformed, or without its tags.
    pub fn target_dialog(&self) -> Result<Option<Replaces<'_>>, ParseError> {
        self.maybe(Name::TargetDialog, |text| {
            Replaces::with_tags(text, "local-tag", "remote-tag")
        })
    }

    /// The event package (RFC 6665 §8.2.1).
    ///
    /// # Errors
    /// Malformed.
    pub fn event(&self) -> Result<Option<Labelled<'_>>, ParseError> {
        self.maybe(Name::Event, take_labelled)
    }

    /// The state of a subscription (RFC 6665 §8.2.3).
    ///
    /// # Errors
    /// Malformed.
    pub fn subscription_state(&self) -> Result<Option<Labelled<'_>>, ParseError> {
        self.maybe(Name::SubscriptionState, take_labelled)
    }

    /// The kinds of privacy asked for: `id`, `header`, `none` … (RFC 3323 §4.2).
    pub fn privacy(&self) -> impl Iterator<Item = &str> {
        let words = self
            .headers(Name::Privacy)
            .flat_map(|value| value.split([';', ',']));
        words.map(str::trim_ascii).filter(|word| !word.is_empty())
    }

    /// Whether the list `name` (Supported, Require, Allow-Events …) holds `token`, in any case.
    pub fn lists(&self, name: Name, token: &str) -> bool {
        self.values(name)
            .any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Whether Allow names `method` (§20.5).
    pub fn allows(&self, method: Method) -> bool {
        self.values(Name::Allow)
            .any(|value| value == method.as_str())
    }

    /// Reads the one value of a header that must be there.
    fn needed<'a, T>(
        &'a self,
        name: Name,
        read: impl Fn(&'a str) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.maybe(name, read)?.ok_or_else(|| self.missing(name))
    }

    /// Reads the one value of a header that may be there.
    fn maybe<'a, T>(
        &'a self,
        name: Name,
        read: impl Fn(&'a str) -> Result<T, ParseError>,
    ) -> Result<Option<T>, ParseError> {
        let Some(entry) = self.entry(name) else {
            return Ok(None);
        };
        let value = read(self.index.value(entry, &self.bytes));
        value
            .map(Some)
            .map_err(|error| self.placed(error, name, usize::from(entry.value)))
    }

    /// Reads each value of a list header.
    fn list<'a, T>(
        &'a self,
        name: Name,
        read: impl Fn(&'a str) -> Result<T, ParseError>,
    ) -> impl Iterator<Item = Result<T, ParseError>> {
        let values = self.entries(name).flat_map(move |entry| {
            let base = usize::from(entry.value);
            split_values(self.index.value(entry, &self.bytes))
                .map(move |(at, value)| (base + at, value))
        });
        values
            .filter(|(_, value)| !value.is_empty())
            .map(move |(base, value)| read(value).map_err(|error| self.placed(error, name, base)))
    }

    /// Says where in this message a value's fault is, and whether it may be answered.
    fn placed(&self, error: ParseError, name: Name, base: usize) -> ParseError {
        self.answerable(error.within(name, base))
    }

    fn missing(&self, name: Name) -> ParseError {
        let what = name.as_str();
        self.answerable(ParseError::new(
            ErrorKind::Missing(name),
            self.index.body,
            None,
            what,
        ))
    }

    /// Responses and ACKs are never answered (§8.1.3, §17.1.1.3).
    fn answerable(&self, error: ParseError) -> ParseError {
        match self.method() {
            None | Some(Method::Ack) => error.unanswered(),
            Some(_) => error,
        }
    }
}

fn shifted(error: ParseError, base: usize) -> ParseError {
    ParseError {
        offset: error.offset + base,
        ..error
    }
}

fn take_u32(scan: &mut Scan<'_>, max: u32, what: &'static str) -> Result<u32, ParseError> {
    let number = scan.number(u64::from(max), what)?;
    Ok(u32::try_from(number).unwrap_or(max))
}

fn take_method<'a>(scan: &mut Scan<'a>) -> Result<&'a str, ParseError> {
    let before = scan.at();
    scan.skip_spaces();
    if scan.at() == before {
        return Err(scan.expected("a blank before the method"));
    }
    scan.token("a method")
}

fn take_call_id(text: &str) -> Result<&str, ParseError> {
    let mut scan = Scan::new(text);
    let call_id = scan.take_while(|b| b.is_ascii_graphic());
    if call_id.is_empty() || !scan.is_done() {
        return Err(scan.expected("one word of printable characters"));
    }
    Ok(call_id)
}

fn take_seconds(text: &str) -> Result<u32, ParseError> {
    let mut scan = Scan::new(text);
    let seconds = take_u32(&mut scan, u32::MAX, "a number below 2^32")?;
    scan.finish("the end")?;
    Ok(seconds)
}

/// Takes seconds, a comment that is passed over, and parameters.
fn take_deltas(text: &str) -> Result<Deltas<'_>, ParseError> {
    let mut scan = Scan::new(text);
    let seconds = take_u32(&mut scan, u32::MAX, "a number below 2^32")?;
    scan.skip_spaces();
    let mut depth = 0u32;
    while scan.peek() == Some(b'(') || depth > 0 {
        scan.take_while(|b| !matches!(b, b'(' | b')' | b'\\'));
        if scan.accept(b'(') {
            depth += 1;
        } else if scan.accept(b')') {
            depth -= 1;
        } else if scan.accept(b'\\') {
            scan.skip_character();
        } else {
            return Err(scan.expected("a closing parenthesis"));
        }
    }
    let params = take_params(&mut scan)?;
    scan.finish("a parameter or the end")?;
    Ok(Deltas { seconds, params })
}

fn take_media_type(text: &str) -> Result<MediaType<'_>, ParseError> {
    let mut scan = Scan::new(text);
    let kind = scan.token("a media type")?;
    scan.skip_spaces();
    scan.require(b'/', "a slash")?;
    scan.skip_spaces();
    let subtype = scan.token("a media subtype")?;
    let params = take_params(&mut scan)?;
    scan.finish("a parameter or the end")?;
    Ok(MediaType {
        kind,
        subtype,
        params,
    })
}

fn take_labelled(text: &str) -> Result<Labelled<'_>, ParseError> {
    let mut scan = Scan::new(text);
    let label = scan.token("a token")?;
    let params = take_params(&mut scan)?;
    scan.finish("a parameter or the end")?;
    Ok(Labelled { label, params })
}
