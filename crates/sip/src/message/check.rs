//! What must hold before anybody acts on a message that parsed (RFC 3261 §8.1.3, §8.2, §16.3).
//!
//! [`Message::validate_request`] answers in the order of §8.2: first what makes the request unfit
//! to be read (400), then the method (405, 501), the Request-URI's scheme (416), hops (483),
//! extensions (420) and the body (415, 406). What only a layer above knows stays there: 401, 404,
//! 481, 482, 491 and 503 are not given here.

use super::uri::{Scheme, Uri};
use super::{Builder, ErrorKind, Message, Method, Name, ParseError};
use std::fmt;

/// What a server takes; anything else is refused with the status that says so.
#[derive(Clone, Copy, Debug)]
pub struct Accepts<'a> {
    /// Methods served; others get 405 when the core knows them, 501 when nobody does.
    pub methods: &'a [Method],
    /// Option tags a Require may name.
    pub extensions: &'a [&'a str],
    /// Bodies read, as `application/sdp`; others get 415 unless they are marked optional. `None`: a
    /// layer above decides.
    pub bodies: Option<&'a [&'a str]>,
    /// Whether a `tel` Request-URI can be routed.
    pub tel: bool,
    /// Whether the request will be passed on, so that a Max-Forwards of 0 ends here; who answers
    /// calls himself ignores it (RFC 4475 §3.3.11).
    pub passes_on: bool,
}

/// Why a message is not acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A header that matters is missing or malformed.
    Malformed(ParseError),
    /// A header that may stand once stands twice (RFC 4475 §3.3.8).
    Repeated(Name),
    /// The method of CSeq is not that of the request (§8.1.1.5).
    MethodMismatch,
    /// The Request-URI carries headers (§19.1.1).
    UriHeaders,
    /// A REGISTER's To is no SIP address (§10.2).
    AddressOfRecord,
    /// There is a body and nothing says of what type (§20.15).
    UntypedBody,
    /// A known method that is not served; the methods that are.
    NotAllowed(String),
    /// A method nobody here knows; the methods that are served.
    UnknownMethod(String),
    /// A Request-URI of a scheme that is not served.
    Scheme,
    /// No hops left.
    Hops,
    /// Require names extensions that are not supported: these.
    Extensions(String),
    /// A body of a type that is not read; the types that are.
    Body(String),
    /// A body in an encoding that is not read.
    Encoding,
    /// The caller can read no session description.
    NotAcceptable,
    /// A response that other Vias than ours are left on (§8.1.3.3).
    ForeignVia,
}

impl Cause {
    /// Whether the message is unfit to be read at all: nobody but its sender is at fault, and a
    /// stranger is owed no answer.
    pub const fn is_malformed(&self) -> bool {
        self.status() == 400
    }

    /// The header that goes with the status and says what would have been served.
    pub fn remedy(&self) -> Option<(Name, &str)> {
        match self {
            Self::NotAllowed(methods) | Self::UnknownMethod(methods) => {
                Some((Name::Allow, methods))
            }
            Self::Extensions(tags) => Some((Name::Unsupported, tags)),
            Self::Body(types) => Some((Name::Accept, types)),
            Self::Encoding => Some((Name::AcceptEncoding, "identity")),
            _ => None,
        }
    }

    /// The status that says so to the sender of a request.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_)
            | Self::Repeated(_)
            | Self::MethodMismatch
            | Self::UriHeaders
            | Self::AddressOfRecord
            | Self::UntypedBody
            | Self::ForeignVia => 400,
            Self::NotAllowed(_) => 405,
            Self::NotAcceptable => 406,
            Self::Body(_) | Self::Encoding => 415,
            Self::Scheme => 416,
            Self::Extensions(_) => 420,
            Self::Hops => 483,
            Self::UnknownMethod(_) => 501,
        }
    }

    /// The reason phrase of that status (§21).
    pub const fn reason(&self) -> &'static str {
        match self.status() {
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            415 => "Unsupported Media Type",
            416 => "Unsupported URI Scheme",
            420 => "Bad Extension",
            483 => "Too Many Hops",
            501 => "Not Implemented",
            _ => "Bad Request",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Repeated(name) => write!(f, "{name} stands more than once"),
            Self::MethodMismatch => f.write_str("CSeq has another method than the request line"),
            Self::UriHeaders => f.write_str("the Request-URI carries headers"),
            Self::AddressOfRecord => f.write_str("To is no SIP address of record"),
            Self::UntypedBody => f.write_str("a body without Content-Type"),
            Self::NotAllowed(allowed) => write!(f, "the method is not among {allowed}"),
            Self::UnknownMethod(_) => f.write_str("the method is not known"),
            Self::Scheme => f.write_str("the Request-URI's scheme is not served"),
            Self::Hops => f.write_str("Max-Forwards is used up"),
            Self::Extensions(tags) => write!(f, "extensions required and not supported: {tags}"),
            Self::Body(read) => write!(f, "the body's type is not among {read}"),
            Self::Encoding => f.write_str("the body is encoded"),
            Self::NotAcceptable => f.write_str("the sender accepts no session description"),
            Self::ForeignVia => f.write_str("more than one Via is left on the response"),
        }
    }
}

/// A message refused: why, and whether its sender may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to answer; `None` for an ACK and for every response.
    pub answer: Option<u16>,
    /// Why.
    pub cause: Cause,
}

impl Refusal {
    /// Starts the answer to `request`, with the header that goes with the status; `None` when it is
    /// not to be answered.
    pub fn response(&self, request: &Message) -> Option<Builder> {
        let builder = Builder::response(request, self.answer?, self.cause.reason());
        Some(match self.cause.remedy() {
            Some((name, value)) => builder.header(name, value),
            None => builder,
        })
    }
}

impl Message {
    /// Whether a server that takes `accepts` may act on this request.
    ///
    /// ACK and CANCEL are only read for form: they cannot be refused for what they ask (§8.2.2.3). Nor
    /// is BYE, as its refusal would leave a call that nobody can end.
    ///
    /// # Errors
    /// The first reason against it, in the order of RFC 3261 §8.2.
    pub fn validate_request(&self, accepts: &Accepts<'_>) -> Result<(), Refusal> {
        let refuse = |cause: Cause| Refusal {
            answer: (self.method() != Some(Method::Ack)).then_some(cause.status()),
            cause,
        };
        self.check_form().map_err(refuse)?;
        let uri = self.check_request_line().map_err(refuse)?;
        if matches!(
            self.method(),
            Some(Method::Ack | Method::Bye | Method::Cancel)
        ) {
            return Ok(());
        }
        self.check_method(accepts).map_err(refuse)?;
        match uri.scheme {
            Scheme::Sip | Scheme::Sips => {}
            Scheme::Tel if accepts.tel => {}
            Scheme::Tel | Scheme::Other => return Err(refuse(Cause::Scheme)),
        }
        if accepts.passes_on && self.max_forwards() == Ok(Some(0)) {
            return Err(refuse(Cause::Hops));
        }
        self.check_extensions(accepts).map_err(refuse)?;
        self.check_body(accepts).map_err(refuse)
    }

    /// Whether a client may act on this response; if not it is dropped (§8.1.3.3, §18.1.2).
    ///
    /// # Errors
    /// A header that matters is missing, malformed or repeated, or the response has Vias of others.
    pub fn validate_response(&self) -> Result<(), Refusal> {
        let refuse = |cause| Refusal {
            answer: None,
            cause,
        };
        self.check_form().map_err(refuse)?;
        if self.vias().nth(1).is_some() {
            return Err(refuse(Cause::ForeignVia));
        }
        Ok(())
    }

    /// Headers that every layer above reads: present, well-formed, once.
    fn check_form(&self) -> Result<(), Cause> {
        let mut seen = 0u128;
        for line in self.lines().filter(|line| line.name().is_single()) {
            let bit = 1u128 << (line.name() as u8);
            if seen & bit != 0 {
                return Err(Cause::Repeated(line.name()));
            }
            seen |= bit;
        }
        let mut vias = self.vias();
        let top = vias.next().unwrap_or_else(|| self.via());
        top.and_then(|_| vias.try_for_each(|via| via.map(drop)))
            .map_err(Cause::Malformed)?;
        self.to().map_err(Cause::Malformed)?;
        self.from().map_err(Cause::Malformed)?;
        self.call_id().map_err(Cause::Malformed)?;
        self.cseq().map_err(Cause::Malformed)?;
        self.max_forwards().map_err(Cause::Malformed)?;
        self.content_type().map_err(Cause::Malformed)?;
        let is_star = self.method() == Some(Method::Register) && self.is_contact_star();
        if !is_star {
            self.contacts()
                .try_for_each(|one| one.map(drop))
                .map_err(Cause::Malformed)?;
        }
        let mut routes = self.routes().chain(self.record_routes());
        routes
            .try_for_each(|route| route.map(drop))
            .map_err(Cause::Malformed)
    }

    /// The request line against the headers, and its URI.
    fn check_request_line(&self) -> Result<Uri<'_>, Cause> {
        let text = self.request_uri().unwrap_or_default();
        let base = self.method_str().unwrap_or_default().len() + 1;
        let uri = Uri::parse(text).map_err(|error| {
            let offset = error.offset + base;
            Cause::Malformed(ParseError {
                kind: ErrorKind::StartLine,
                offset,
                ..error
            })
        })?;
        if !uri.headers.is_empty() {
            return Err(Cause::UriHeaders);
        }
        let cseq = self.cseq().map_err(Cause::Malformed)?;
        if self.method_str() != Some(cseq.method_str) {
            return Err(Cause::MethodMismatch);
        }
        Ok(uri)
    }

    fn check_method(&self, accepts: &Accepts<'_>) -> Result<(), Cause> {
        let method = self.method().unwrap_or(Method::Other);
        if !accepts.methods.contains(&method) {
            let served = accepts.methods.iter().map(|method| method.as_str());
            let served = served.collect::<Vec<_>>().join(", ");
            return Err(if method == Method::Other {
                Cause::UnknownMethod(served)
            } else {
                Cause::NotAllowed(served)
            });
        }
        if method == Method::Register && !self.to().map_err(Cause::Malformed)?.uri.is_sip() {
            return Err(Cause::AddressOfRecord);
        }
        Ok(())
    }

    /// Require is for the server; Proxy-Require is for proxies, which this is not (§20.29).
    fn check_extensions(&self, accepts: &Accepts<'_>) -> Result<(), Cause> {
        let is_unknown = |tag: &&str| {
            !accepts
                .extensions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(tag))
        };
        let unknown: Vec<_> = self.values(Name::Require).filter(is_unknown).collect();
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(Cause::Extensions(unknown.join(", ")))
        }
    }

    fn check_body(&self, accepts: &Accepts<'_>) -> Result<(), Cause> {
        let disposition = self.header(Name::ContentDisposition).unwrap_or_default();
        let is_optional = disposition
            .to_ascii_lowercase()
            .contains("handling=optional");
        if !self.body().is_empty() && !is_optional {
            let Some(media) = self.content_type().map_err(Cause::Malformed)? else {
                return Err(Cause::UntypedBody);
            };
            let is_read = |one: &&str| {
                one.split_once('/')
                    .is_some_and(|(kind, sub)| media.is(kind, sub))
            };
            if let Some(read) = accepts.bodies
                && !read.iter().any(is_read)
            {
                return Err(Cause::Body(read.join(", ")));
            }
            if self
                .values(Name::ContentEncoding)
                .any(|one| !one.eq_ignore_ascii_case("identity"))
            {
                return Err(Cause::Encoding);
            }
        }
        let has_accept = self.header(Name::Accept).is_some();
        let reads_sdp = |one: Result<super::MediaType<'_>, ParseError>| {
            one.is_ok_and(|one| {
                one.is("application", "sdp") || one.is("application", "*") || one.is("*", "*")
            })
        };
        if self.method() == Some(Method::Invite) && has_accept && !self.accepts().any(reads_sdp) {
            return Err(Cause::NotAcceptable);
        }
        Ok(())
    }
}
