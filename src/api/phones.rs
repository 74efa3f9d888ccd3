//! The way in of browsers' phones: the HTTP side of their WebSockets (RFC 6455 §4.2, RFC 7118 §4).
//!
//! A handshake is judged here; the connection itself goes to the SIP transports, or to the face that speaks
//! its language, and is bounded there. Who is on it shows there too.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};
use tokio::sync::mpsc;

use super::serve::{Peer, Turn};
use super::{Api, ApiError, pages};
use crate::config::Origins;
use crate::explain::{Explanation, printable};

/// What is spoken on a WebSocket: the path says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// SIP (RFC 7118).
    Sip,
    /// The desk's own JSON: docs/desk-protocol.md.
    Desk,
    /// Verto: JSON-RPC as FreeSWITCH began it and Telnyx goes on with it.
    Verto,
}

/// Where browsers' phones come in.
pub(super) const PATHS: [(&str, Spoken); 4] = [
    ("/sip", Spoken::Sip),
    ("/desk", Spoken::Desk),
    ("/verto", Spoken::Verto),
    ("/", Spoken::Verto),
];

impl Spoken {
    /// The subprotocol that a client must offer; without one, what it offers is passed over.
    const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Sip => Some("sip"),
            Self::Desk => Some("tandem.desk.v1"),
            Self::Verto => None,
        }
    }
}

/// One connection that is about to become a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    /// What is spoken on it.
    pub spoken: Spoken,
    /// Who is on it.
    pub peer: Peer,
    /// The connection, once the 101 has been sent.
    pub stream: OnUpgrade,
    /// His turn to come in: to be dropped as soon as he is known, or gone.
    pub turn: Option<mpsc::Sender<Infallible>>,
}

/// The way from HTTP to the SIP transports.
#[derive(Clone, Debug)]
pub struct Phones {
    door: mpsc::Sender<Upgrade>,
    origins: Origins,
}

impl Phones {
    /// A way for pages of these sites, and its other end. So many may be on it at once that a crowd after
    /// a restart is not turned away, and one more gets a 503.
    pub fn new(origins: Origins) -> (Self, mpsc::Receiver<Upgrade>) {
        let (door, upgrades) = mpsc::channel(UPGRADES_MAX);
        (Self { door, origins }, upgrades)
    }

    /// Whether a page of that site may come in.
    pub(super) fn admit(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        self.origins.admit(origin, host)
    }
}

/// Why a handshake is refused.
#[derive(Debug)]
enum Unfit {
    /// It asks for something else than a WebSocket of version 13.
    NoWebSocket(&'static str),
    /// It offers these subprotocols and not that one.
    Subprotocol {
        wanted: &'static str,
        offered: String,
    },
    /// It is of a page of that site.
    Origin(Option<String>),
}

impl Unfit {
    fn id(&self) -> &'static str {
        match self {
            Self::NoWebSocket(_) => "web-no-websocket",
            Self::Subprotocol { .. } => "web-subprotocol",
            Self::Origin(_) => "web-origin",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NoWebSocket(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Subprotocol { .. } => StatusCode::BAD_REQUEST,
            Self::Origin(_) => StatusCode::FORBIDDEN,
        }
    }

    fn explanation(&self) -> Explanation {
        let parts = match self {
            Self::NoWebSocket(what) => (
                "a WebSocket handshake of version 13 (RFC 6455)".to_owned(),
                format!("a request {what}"),
                "open the address as ws:// or wss://".to_owned(),
            ),
            Self::Subprotocol { wanted, offered } => (
                format!("the subprotocol {wanted}"),
                match offered.as_str() {
                    "" => "none".to_owned(),
                    offered => printable(offered),
                },
                format!("offer it: new WebSocket(url, \"{wanted}\")"),
            ),
            Self::Origin(origin) => {
                let found = origin.as_deref().map(printable);
                let site = found.as_deref().unwrap_or("*");
                (
                    "a page of this server, or of a site in http.origins".to_owned(),
                    match &found {
                        Some(site) => format!("a page of {site}"),
                        None => "a request without Origin".to_owned(),
                    },
                    format!("add \"{site}\" to http.origins"),
                )
            }
        };
        Explanation::new(self.id(), parts)
    }
}

impl From<Unfit> for ApiError {
    fn from(unfit: Unfit) -> Self {
        Self::Refused(unfit.status(), Box::new(unfit.explanation()))
    }
}

/// Takes a handshake, or says what is wrong with it.
pub(super) async fn enter(
    spoken: Spoken,
    State(api): State<Arc<Api>>,
    mut request: Request,
) -> Response {
    // A page that is opened in a browser, and not there.
    let is_opened = !has_word(request.headers(), &UPGRADE, "websocket");
    if is_opened && request.uri().path() == "/" {
        return ApiError::NotFound { what: "path" }.into_response();
    }
    if is_opened && spoken == Spoken::Desk {
        return pages::lead().await.into_response();
    }
    let peer = request.extensions().get::<Peer>().copied();
    let (Some(phones), Some(peer)) = (&api.phones, peer) else {
        return ApiError::NotFound { what: "path" }.into_response();
    };
    let accept = match judge(spoken, request.headers(), &phones.origins) {
        Ok(accept) => accept,
        Err(unfit) => {
            tracing::warn!(remote = %peer.remote, "WebSocket refused: {}", unfit.explanation());
            let version = matches!(unfit, Unfit::NoWebSocket(_)).then_some("13");
            let mut response = ApiError::from(unfit).into_response();
            if let Some(version) = version {
                let version = HeaderValue::from_static(version);
                response
                    .headers_mut()
                    .insert(SEC_WEBSOCKET_VERSION, version);
            }
            return response;
        }
    };
    let stream = hyper::upgrade::on(&mut request);
    let upgrade = Upgrade {
        spoken,
        peer,
        stream,
        turn: request.extensions_mut().remove::<Turn>().map(|it| it.0),
    };
    if phones.door.try_send(upgrade).is_err() {
        return ApiError::Unavailable { what: "SIP" }.into_response();
    }
    let headers = [
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    if let Some(chosen) = spoken.subprotocol() {
        let chosen = HeaderValue::from_static(chosen);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    response
}

/// What answers the key of a handshake that is as RFC 6455 §4.2.1 wants it.
fn judge(spoken: Spoken, headers: &HeaderMap, origins: &Origins) -> Result<HeaderValue, Unfit> {
    if !has_word(headers, &UPGRADE, "websocket") || !has_word(headers, &CONNECTION, "upgrade") {
        return Err(Unfit::NoWebSocket("without Upgrade: websocket"));
    }
    if one(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Unfit::NoWebSocket("of another version"));
    }
    let key = one(headers, &SEC_WEBSOCKET_KEY).map(str::trim);
    let is_key = |key: &&str| {
        STANDARD
            .decode(key)
            .is_ok_and(|bytes| bytes.len() == KEY_LEN)
    };
    let Some(key) = key.filter(is_key) else {
        return Err(Unfit::NoWebSocket(
            "without a Sec-WebSocket-Key of 16 bytes",
        ));
    };
    if !origins.admit(one(headers, &ORIGIN), one(headers, &HOST)) {
        let origin = one(headers, &ORIGIN).map(str::to_owned);
        return Err(Unfit::Origin(origin));
    }
    let offered: Vec<&str> = words(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    if let Some(wanted) = spoken.subprotocol()
        && !offered.contains(&wanted)
    {
        let offered = offered.join(", ");
        return Err(Unfit::Subprotocol { wanted, offered });
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest))
        .map_err(|_| Unfit::NoWebSocket("without a Sec-WebSocket-Key of 16 bytes"))
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn has_word(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// The words of a list header, which may stand on several lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_LEN: usize = 16;
/// Handshakes on their way to the transports, which take them as fast as they come.
const UPGRADES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 §1.3, with our subprotocol.
    const GOOD: [(&str, &str); 7] = [
        ("host", "127.0.0.1:8080"),
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "http://127.0.0.1:8080"),
        ("sec-websocket-protocol", "chat, sip"),
        ("sec-websocket-version", "13"),
    ];

    /// The good handshake with one header changed, or left out where it is empty.
    fn judged(spoken: Spoken, name: &str, value: &str) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for (known, usual) in GOOD {
            let value = if known == name { value } else { usual };
            for line in value.split('|').filter(|line| !line.is_empty()) {
                headers.append(known, line.parse().unwrap());
            }
        }
        let judged = judge(spoken, &headers, &Origins::default());
        let accept = judged.map(|accept| accept.to_str().unwrap().to_owned());
        accept.map_err(|unfit| unfit.id())
    }

    // covers: RFC 6455 §1.3, RFC 6455 §4.2.1, RFC 6455 §4.2.2, RFC 7118 §4
    #[test]
    fn a_handshake_is_taken_as_the_rfcs_want_it_and_else_refused_by_name() {
        let accept = Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned());
        let table = [
            ("host", "127.0.0.1:8080", accept.clone()),
            ("upgrade", "WebSocket", accept.clone()),
            ("sec-websocket-protocol", "sip", accept.clone()),
            ("sec-websocket-protocol", "chat|sip", accept),
            ("upgrade", "", Err("web-no-websocket")),
            ("upgrade", "h2c", Err("web-no-websocket")),
            ("connection", "keep-alive", Err("web-no-websocket")),
            ("sec-websocket-version", "8", Err("web-no-websocket")),
            ("sec-websocket-version", "13|13", Err("web-no-websocket")),
            ("sec-websocket-key", "", Err("web-no-websocket")),
            ("sec-websocket-key", "c2hvcnQ=", Err("web-no-websocket")),
            (
                "sec-websocket-key",
                "not base64 at all",
                Err("web-no-websocket"),
            ),
            ("origin", "", Err("web-origin")),
            ("origin", "https://evil.example", Err("web-origin")),
            (
                "origin",
                "http://127.0.0.1:8080|http://127.0.0.1:8080",
                Err("web-origin"),
            ),
            ("host", "evil.example", Err("web-origin")),
            ("sec-websocket-protocol", "", Err("web-subprotocol")),
            ("sec-websocket-protocol", "SIP", Err("web-subprotocol")),
            ("sec-websocket-protocol", "sips", Err("web-subprotocol")),
            ("sec-websocket-protocol", "sip chat", Err("web-subprotocol")),
        ];
        for (name, value, want) in table {
            let judged = judged(Spoken::Sip, name, value);
            assert_eq!(judged, want, "{name}: {value}");
        }
    }

    #[test]
    fn a_language_without_a_subprotocol_asks_for_none_and_keeps_to_the_sites_that_are_let_in() {
        let spoken = Spoken::Verto;
        for offered in ["", "chat", "sip"] {
            assert!(judged(spoken, "sec-websocket-protocol", offered).is_ok());
        }
        let origin = judged(spoken, "origin", "https://evil.example");
        assert_eq!(origin, Err("web-origin"));
        assert_eq!(judged(spoken, "upgrade", ""), Err("web-no-websocket"));
    }
}
