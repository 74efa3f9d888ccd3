//! The desk's protocol, `tandem.desk.v1`: JSON text messages (docs/desk-protocol.md).
//!
//! What comes is hostile: a message has at most the socket's bytes, each text its bound, a key that nobody
//! knows is a mistake, and what is wrong is said with its place.

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;
use crate::call::{CallId, RecordAsk};
use crate::center::{Wish, WrapUp};

/// What a client asks, with the number that its answer has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) verb: Verb,
}

/// What proves who is at the desk.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Pass {
    /// A token of `POST /v1/login`, or of a telephony credential.
    Token(String),
    /// The token of a `welcome`: a reconnect or a reload.
    Resume(String),
    /// An endpoint and its password, as a phone has them.
    Password { endpoint: String, password: String },
}

/// Its secret is not shown.
impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Resume(_) => "Resume(…)",
            Self::Password { .. } => "Password(…)",
        })
    }
}

/// What may be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Login(Pass),
    Status {
        want: Wish,
        reason: Option<String>,
    },
    Dial {
        call: String,
        to: String,
        sdp: String,
    },
    Answer {
        call: String,
        sdp: String,
    },
    Decline {
        call: String,
    },
    HangUp {
        call: String,
    },
    Hold {
        call: String,
        on: bool,
    },
    Renegotiate {
        call: String,
        sdp: String,
    },
    Key {
        call: String,
        digit: char,
    },
    Transfer {
        call: String,
        to: String,
    },
    Complete {
        call: String,
        with: String,
    },
    Merge {
        calls: [String; 2],
    },
    Record {
        call: String,
        ask: RecordAsk,
    },
    Pick {
        waiting: CallId,
    },
    Note {
        call: String,
        text: String,
    },
    Dispose {
        call: String,
        code: String,
    },
    WrapUp(WrapUp),
    Attach {
        call: String,
        sdp: String,
    },
    LogOut,
}

/// What a message may hold: one shape for all, so that each mistake is told in words.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Message {
    r#type: Option<String>,
    id: Option<u64>,
    token: Option<String>,
    resume: Option<String>,
    endpoint: Option<String>,
    password: Option<String>,
    want: Option<String>,
    reason: Option<String>,
    call: Option<String>,
    to: Option<String>,
    sdp: Option<String>,
    on: Option<bool>,
    digit: Option<String>,
    with: Option<String>,
    calls: Option<Vec<String>>,
    r#do: Option<String>,
    queue: Option<String>,
    waiting: Option<String>,
    text: Option<String>,
    code: Option<String>,
}

/// Reads a message. A mistake comes with the number of the request, if that could be read.
pub(super) fn read(text: &str) -> Result<Request, (Option<u64>, Fault)> {
    let message: Message = serde_json::from_str(text).map_err(|error| {
        // What follows a mistake is not read: the number may stand before it, or not at all.
        let id = serde_json::from_str::<Value>(text).ok();
        let id = id.and_then(|value| value.get("id")?.as_u64());
        (id, Fault::Message(error.to_string()))
    })?;
    let id = message.id;
    let number = id.ok_or_else(|| (None, Fault::Message("id: want a number".to_owned())))?;
    let verb = message.verb().map_err(|why| (id, Fault::Message(why)))?;
    Ok(Request { id: number, verb })
}

impl Message {
    fn verb(self) -> Result<Verb, String> {
        let kind = self.r#type.clone().ok_or("type: want one")?;
        let call = |this: &Self| text("call", this.call.clone(), CALL_MAX);
        let sdp = |this: Self| text("sdp", this.sdp, SDP_MAX);
        Ok(match kind.as_str() {
            "login" => Verb::Login(self.pass()?),
            "status" => Verb::Status {
                want: one_of("want", self.want, &Wish::ALL.map(|it| (it.name(), it)))?,
                reason: optional("reason", self.reason, CODE_MAX)?,
            },
            "dial" => Verb::Dial {
                call: call(&self)?,
                to: text("to", self.to.clone(), ADDRESS_MAX)?,
                sdp: sdp(self)?,
            },
            "answer" => Verb::Answer {
                call: call(&self)?,
                sdp: sdp(self)?,
            },
            "attach" => Verb::Attach {
                call: call(&self)?,
                sdp: sdp(self)?,
            },
            "renegotiate" => Verb::Renegotiate {
                call: call(&self)?,
                sdp: sdp(self)?,
            },
            "decline" => {
                optional("reason", self.reason.clone(), CODE_MAX)?;
                Verb::Decline { call: call(&self)? }
            }
            "hang_up" => Verb::HangUp { call: call(&self)? },
            "hold" => Verb::Hold {
                call: call(&self)?,
                on: self.on.ok_or("on: want true or false")?,
            },
            "key" => Verb::Key {
                call: call(&self)?,
                digit: digit(self.digit)?,
            },
            "transfer" => Verb::Transfer {
                call: call(&self)?,
                to: text("to", self.to, ADDRESS_MAX)?,
            },
            "complete" => Verb::Complete {
                call: call(&self)?,
                with: text("with", self.with, CALL_MAX)?,
            },
            "merge" => Verb::Merge {
                calls: two(self.calls)?,
            },
            "record" => Verb::Record {
                call: call(&self)?,
                ask: one_of("do", self.r#do, &RECORDS.map(|it| (it.name(), it)))?,
            },
            "pick" => {
                optional("queue", self.queue, ADDRESS_MAX)?;
                let waiting = text("waiting", self.waiting, CALL_MAX)?;
                let waiting = waiting
                    .parse()
                    .map_err(|error| format!("waiting: {error}"))?;
                Verb::Pick { waiting }
            }
            "note" => Verb::Note {
                call: call(&self)?,
                // An agent may take his words back.
                text: optional("text", self.text, NOTE_MAX)?.ok_or("text: want one")?,
            },
            "dispose" => Verb::Dispose {
                call: call(&self)?,
                code: text("code", self.code, CODE_MAX)?,
            },
            "wrap_up" => Verb::WrapUp(one_of("do", self.r#do, &WRAP_UPS)?),
            "log_out" => Verb::LogOut,
            other => return Err(format!("type: no such message, {:?}", shortened(other))),
        })
    }

    fn pass(self) -> Result<Pass, String> {
        let one = (self.token, self.resume, self.endpoint, self.password);
        match one {
            (Some(token), None, None, None) => {
                Ok(Pass::Token(text("token", Some(token), TOKEN_MAX)?))
            }
            (None, Some(token), None, None) => {
                Ok(Pass::Resume(text("resume", Some(token), TOKEN_MAX)?))
            }
            (None, None, endpoint @ Some(_), password @ Some(_)) => Ok(Pass::Password {
                endpoint: text("endpoint", endpoint, CALL_MAX)?,
                password: text("password", password, TOKEN_MAX)?,
            }),
            _ => Err("login: want token, or resume, or endpoint and password".to_owned()),
        }
    }
}

fn text(key: &str, value: Option<String>, max: usize) -> Result<String, String> {
    match optional(key, value, max)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("{key}: want a text")),
    }
}

fn optional(key: &str, value: Option<String>, max: usize) -> Result<Option<String>, String> {
    match value {
        Some(value) if value.len() > max => Err(format!(
            "{key}: want at most {max} bytes, have {}",
            value.len()
        )),
        value => Ok(value),
    }
}

fn one_of<T: Copy>(key: &str, value: Option<String>, known: &[(&str, T)]) -> Result<T, String> {
    let found = known
        .iter()
        .find(|(name, _)| value.as_deref() == Some(*name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{key}: want one of {}", names.join(", "))
    })
}

fn digit(value: Option<String>) -> Result<char, String> {
    let mut letters = value.iter().flat_map(|text| text.chars());
    match (letters.next(), letters.next()) {
        (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Ok(key),
        _ => Err("digit: want one of 0 to 9, *, #, A to D".to_owned()),
    }
}

fn two(calls: Option<Vec<String>>) -> Result<[String; 2], String> {
    let mut names = calls.unwrap_or_default();
    let both = (names.pop(), names.pop(), names.is_empty());
    match both {
        (Some(b), Some(a), true) if a != b => Ok([
            text("calls", Some(a), CALL_MAX)?,
            text("calls", Some(b), CALL_MAX)?,
        ]),
        _ => Err("calls: want the names of two calls".to_owned()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

/// A request is done.
pub(super) fn done(id: u64, more: Value) -> String {
    said("done", Some(id), more)
}

/// A request is not done. One whose number could not be read has none.
pub(super) fn refused(id: Option<u64>, fault: &Fault) -> String {
    let error = json!({"id": fault.id(), "message": fault.sentence()});
    json!({"type": "refused", "id": id, "error": error}).to_string()
}

/// A message of ours: `more` is an object.
pub(super) fn say(kind: &str, more: Value) -> String {
    said(kind, None, more)
}

fn said(kind: &str, id: Option<u64>, more: Value) -> String {
    let mut message = serde_json::Map::new();
    message.insert("type".to_owned(), kind.into());
    if let Some(id) = id {
        message.insert("id".to_owned(), id.into());
    }
    if let Value::Object(more) = more {
        message.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Value::Object(message).to_string()
}

/// What a desk may ask of a recording; masking is a flow's.
const RECORDS: [RecordAsk; 4] = [
    RecordAsk::Start,
    RecordAsk::Pause,
    RecordAsk::Resume,
    RecordAsk::Stop,
];
const WRAP_UPS: [(&str, WrapUp); 2] = [("end", WrapUp::End), ("extend", WrapUp::Extend)];

/// Bytes of a call's name, an endpoint's, or the id of a call that waits.
const CALL_MAX: usize = 64;
/// Of a number, a name or an address.
const ADDRESS_MAX: usize = 256;
/// Of a description: a browser's has 2 to 6 kB.
const SDP_MAX: usize = 32 << 10;
/// Of a token or a password.
const TOKEN_MAX: usize = 2 << 10;
/// Of a reason or a disposition.
const CODE_MAX: usize = 64;
/// Of a note.
const NOTE_MAX: usize = crate::api::NOTE_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(text: &str) -> Verb {
        let request = read(text).unwrap();
        assert_eq!(request.id, 7);
        request.verb
    }

    #[test]
    fn each_message_is_read_as_it_is_documented() {
        let call = || "c1".to_owned();
        let sdp = || "v=0".to_owned();
        let table = [
            (
                r#"{"type":"login","id":7,"token":"t"}"#,
                Verb::Login(Pass::Token("t".to_owned())),
            ),
            (
                r#"{"type":"login","id":7,"resume":"t"}"#,
                Verb::Login(Pass::Resume("t".to_owned())),
            ),
            (
                r#"{"type":"login","id":7,"endpoint":"anna","password":"p"}"#,
                Verb::Login(Pass::Password {
                    endpoint: "anna".to_owned(),
                    password: "p".to_owned(),
                }),
            ),
            (
                r#"{"type":"status","id":7,"want":"break","reason":"lunch"}"#,
                Verb::Status {
                    want: Wish::Break,
                    reason: Some("lunch".to_owned()),
                },
            ),
            (
                r#"{"id":7,"type":"dial","call":"c1","to":"+33","sdp":"v=0"}"#,
                Verb::Dial {
                    call: call(),
                    to: "+33".to_owned(),
                    sdp: sdp(),
                },
            ),
            (
                r#"{"id":7,"type":"answer","call":"c1","sdp":"v=0"}"#,
                Verb::Answer {
                    call: call(),
                    sdp: sdp(),
                },
            ),
            (
                r#"{"id":7,"type":"decline","call":"c1","reason":"busy"}"#,
                Verb::Decline { call: call() },
            ),
            (
                r#"{"id":7,"type":"hold","call":"c1","on":false}"#,
                Verb::Hold {
                    call: call(),
                    on: false,
                },
            ),
            (
                r##"{"id":7,"type":"key","call":"c1","digit":"#"}"##,
                Verb::Key {
                    call: call(),
                    digit: '#',
                },
            ),
            (
                r#"{"id":7,"type":"merge","calls":["c1","c2"]}"#,
                Verb::Merge {
                    calls: [call(), "c2".to_owned()],
                },
            ),
            (
                r#"{"id":7,"type":"record","call":"c1","do":"pause"}"#,
                Verb::Record {
                    call: call(),
                    ask: RecordAsk::Pause,
                },
            ),
            (
                r#"{"id":7,"type":"pick","queue":"sales","waiting":"c0000000000000001"}"#,
                Verb::Pick { waiting: CallId(1) },
            ),
            (
                r#"{"id":7,"type":"note","call":"c1","text":""}"#,
                Verb::Note {
                    call: call(),
                    text: String::new(),
                },
            ),
            (
                r#"{"id":7,"type":"wrap_up","do":"extend"}"#,
                Verb::WrapUp(WrapUp::Extend),
            ),
            (r#"{"id":7,"type":"log_out"}"#, Verb::LogOut),
        ];
        for (text, want) in table {
            assert_eq!(verb(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_its_number() {
        let long = "x".repeat(CALL_MAX + 1);
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let table = [
            ("", None, "EOF"),
            ("null", None, "invalid type"),
            ("[]", None, "id: want a number"),
            ("{}", None, "id: want a number"),
            (r#"{"id":-1,"type":"log_out"}"#, None, "invalid value"),
            (r#"{"id":7}"#, Some(7), "type: want one"),
            (
                r#"{"id":7,"type":"fly"}"#,
                Some(7),
                "no such message, \"fly\"",
            ),
            (
                r#"{"id":7,"type":"log_out","x":1}"#,
                Some(7),
                "unknown field `x`",
            ),
            (
                r#"{"id":7,"type":"hold","call":"c1","on":"yes"}"#,
                Some(7),
                "boolean",
            ),
            (
                r#"{"id":7,"type":"hold","call":"c1"}"#,
                Some(7),
                "on: want true",
            ),
            (r#"{"id":7,"type":"hang_up"}"#, Some(7), "call: want a text"),
            (
                r#"{"id":7,"type":"hang_up","call":""}"#,
                Some(7),
                "call: want a text",
            ),
            (
                &format!(r#"{{"id":7,"type":"hang_up","call":"{long}"}}"#),
                Some(7),
                "call: want at most 64 bytes, have 65",
            ),
            (
                r#"{"id":7,"type":"status","want":"asleep"}"#,
                Some(7),
                "want: want one of available, break, training, away",
            ),
            (r#"{"id":7,"type":"login"}"#, Some(7), "login: want token"),
            (
                r#"{"id":7,"type":"login","token":"t","resume":"r"}"#,
                Some(7),
                "login: want token",
            ),
            (
                r#"{"id":7,"type":"key","call":"c1","digit":"12"}"#,
                Some(7),
                "digit",
            ),
            (
                r#"{"id":7,"type":"merge","calls":["c1","c1"]}"#,
                Some(7),
                "two calls",
            ),
            (
                r#"{"id":7,"type":"merge","calls":["1","2","3"]}"#,
                Some(7),
                "two calls",
            ),
            (
                r#"{"id":7,"type":"record","call":"c","do":"mask"}"#,
                Some(7),
                "do: want one of",
            ),
            (
                r#"{"id":7,"type":"pick","waiting":"7"}"#,
                Some(7),
                "waiting: want a call id",
            ),
            (&deep, None, ""),
        ];
        for (text, number, told) in table {
            let (id, fault) = read(text).unwrap_err();
            assert_eq!(id, number, "{text}");
            assert_eq!(fault.id(), "desk-message");
            assert!(
                fault.sentence().contains(told),
                "{text}: {}",
                fault.sentence()
            );
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let told = say("ended", json!({"call": "c1", "text": null}));
        assert_eq!(told, r#"{"call":"c1","type":"ended"}"#);
        let told: Value = serde_json::from_str(&done(7, Value::Null)).unwrap();
        assert_eq!(told, json!({"type": "done", "id": 7}));
        let told: Value = serde_json::from_str(&refused(None, &Fault::NoCall)).unwrap();
        assert_eq!(told["error"]["id"], "desk-no-call");
        assert_eq!(told["id"], Value::Null);
    }
}
