//! The messages (JSON-RPC 2.0), read without trust: bounded in depth, unknown members passed over without
//! being kept.

use serde::Deserialize;
use serde_json::{Value, json};

/// What a client sent: a request, or its answer to one of ours.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) id: Id,
    /// Without one it answers a request of ours.
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) params: Params,
}

/// Names a request; the client's is given back as it came.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Text(String),
    Number(i64),
    #[default]
    None,
}

impl Id {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::None => Value::Null,
        }
    }
}

/// The members of all requests that mean something here.
#[derive(Default, Deserialize)]
pub(super) struct Params {
    pub(super) login: Option<String>,
    #[serde(alias = "password")]
    pub(super) passwd: Option<String>,
    pub(super) login_token: Option<String>,
    pub(super) sessid: Option<String>,
    pub(super) sdp: Option<String>,
    pub(super) action: Option<String>,
    pub(super) destination: Option<String>,
    #[serde(rename = "replaceCallID")]
    pub(super) replaced: Option<String>,
    pub(super) dtmf: Option<String>,
    #[serde(rename = "sipCode")]
    pub(super) sip_code: Option<Value>,
    #[serde(rename = "callID")]
    pub(super) call: Option<String>,
    #[serde(rename = "dialogParams", default)]
    pub(super) dialog: Dialog,
    #[serde(rename = "User-Agent")]
    pub(super) agent: Option<Agent>,
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets are among them.
        f.write_str("Params(…)")
    }
}

/// Whom a call is with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Dialog {
    #[serde(rename = "callID")]
    pub(super) call: Option<String>,
    pub(super) destination_number: Option<String>,
    #[serde(default)]
    pub(super) custom_headers: Vec<Header>,
}

/// A SIP header of the client's.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

/// What a client says of itself: words, or members.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Agent {
    Words(String),
    Members {
        #[serde(rename = "sdkVersion", default)]
        version: String,
    },
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if depth(text) > DEPTH_MAX {
            return Err(format!("want at most {DEPTH_MAX} values inside each other"));
        }
        let message: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let headers = message.params.dialog.custom_headers.len();
        if headers > HEADERS_MAX {
            return Err(format!(
                "want at most {HEADERS_MAX} custom_headers, have {headers}"
            ));
        }
        Ok(message)
    }

    /// The call that is meant.
    pub(super) fn call(&self) -> &str {
        let dialog = self.params.dialog.call.as_deref();
        dialog.or(self.params.call.as_deref()).unwrap_or_default()
    }
}

/// How deep its brackets stand inside each other; text in quotes has none.
fn depth(text: &str) -> usize {
    let (mut deepest, mut now) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Which words a client uses: they begin its methods, and ours to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Telnyx,
    Verto,
}

impl Dialect {
    /// A method without its prefix, and whose it is. `login` has none.
    pub(super) fn split(method: &str) -> (&str, Option<Self>) {
        for dialect in [Self::Telnyx, Self::Verto] {
            if let Some(rest) = method.strip_prefix(dialect.prefix()) {
                return (rest, Some(dialect));
            }
        }
        (method, None)
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Telnyx => "telnyx_rtc.",
            Self::Verto => "verto.",
        }
    }

    /// A request of ours. `session` is what a client says again when it comes back.
    pub(super) fn request(self, id: u64, method: &str, session: &str, params: Value) -> String {
        let method = format!("{}{method}", self.prefix());
        json!({
            "jsonrpc": "2.0", "id": id, "method": method, "params": params, "voice_sdk_id": session,
        })
        .to_string()
    }
}

/// The answer to a request.
pub(super) fn result(id: &Id, session: &str, result: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id.to_json(), "result": result, "voice_sdk_id": session})
        .to_string()
}

/// The refusal of a request.
pub(super) fn error(id: &Id, refusal: &Refusal) -> String {
    let Refusal { code, message } = refusal;
    json!({"jsonrpc": "2.0", "id": id.to_json(), "error": {"code": code, "message": message}})
        .to_string()
}

/// Why a request is refused: the codes are those of JSON-RPC and of FreeSWITCH's module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// Not JSON, or not a message.
pub(super) const PARSE: i32 = -32_700;
/// A member is missing or of no use.
pub(super) const PARAMS: i32 = -32_602;
/// No such method.
pub(super) const METHOD: i32 = -32_601;
/// Log in first.
pub(super) const UNKNOWN: i32 = -32_000;
/// Who logs in has not proven who he is.
pub(super) const DENIED: i32 = -32_001;
/// It is about a call, and that cannot be done.
pub(super) const CALL: i32 = -32_002;

/// Values inside each other; clients' messages have four.
const DEPTH_MAX: usize = 16;
/// Headers of one call.
const HEADERS_MAX: usize = 32;
