//! What a client asks about calls.

use clock::Now;
use serde_json::{Value, json};

use super::wire::{Id, Message, Params, Refusal};
use super::{Phase, Verto, Waiting, Wanted, wire};
use crate::explain::printable;
use crate::face::line::{Dial, Line, LineError};

/// What is answered; nothing yet where the line has to say how it went.
type Done = Result<Option<Value>, Refusal>;

impl Verto {
    pub(super) fn on_call_request(
        &mut self,
        now: Now,
        id: &Id,
        method: &str,
        message: Message,
    ) -> Done {
        let call = message.call().to_owned();
        let params = message.params;
        match method {
            "invite" => self.invite(now, call, params),
            "answer" | "attach" => self.answer(now, &call, params),
            "bye" => self.bye(now, id, call, &params),
            "modify" => self.modify(now, id, call, params),
            "info" => self.info(now, &call, &params),
            // Ours is the end that needs none: the client checks, and by that we know where it is.
            "candidate" | "endOfCandidates" => Ok(Some(json!({"callID": call}))),
            _ => Err(Refusal::new(
                wire::METHOD,
                format!("there is no method {}", printable(method)),
            )),
        }
    }

    fn ready(&mut self) -> Result<&mut Line, Refusal> {
        match &mut self.phase {
            Phase::Ready { line, .. } => Ok(line),
            _ => Err(Refusal::new(wire::UNKNOWN, "Authentication Required")),
        }
    }

    fn invite(&mut self, now: Now, call: String, params: Params) -> Done {
        let sdp = sdp_of(params.sdp)?;
        if call.is_empty() || call.len() > CALL_MAX {
            return Err(missing("dialogParams.callID"));
        }
        let Some(to) = params.dialog.destination_number else {
            return Err(missing("dialogParams.destination_number"));
        };
        let own = params.dialog.custom_headers.into_iter();
        let headers = own.map(|it| (it.name, it.value));
        let headers: Vec<_> = headers.filter(|(name, _)| may_say(name)).collect();
        let dial = Dial { to, sdp, headers };
        self.ready()?
            .dial(now, &call, dial)
            .map_err(|why| refused(why, &call))?;
        let sessid = &self.session;
        Ok(Some(
            json!({"message": "CALL CREATED", "callID": call, "sessid": sessid}),
        ))
    }

    fn answer(&mut self, now: Now, call: &str, params: Params) -> Done {
        let sdp = sdp_of(params.sdp)?;
        self.ready()?
            .answer(now, call, sdp)
            .map_err(|why| refused(why, call))?;
        let sessid = &self.session;
        Ok(Some(
            json!({"message": "CALL ANSWERED", "callID": call, "sessid": sessid}),
        ))
    }

    /// Whatever was said before of the call, this answers it too.
    fn bye(&mut self, now: Now, id: &Id, call: String, params: &Params) -> Done {
        let status = match &params.sip_code {
            Some(Value::Number(code)) => code.as_u64(),
            Some(Value::String(code)) => code.parse().ok(),
            _ => None,
        };
        let status = status.and_then(|it| u16::try_from(it).ok());
        let line = self.ready()?;
        let refuses = status.filter(|it| (400..700).contains(it));
        let done = match refuses.map(|status| line.refuse(now, &call, status)) {
            Some(Ok(())) => Ok(()),
            _ => line.hang_up(now, &call),
        };
        done.map_err(|why| refused(why, &call))?;
        let (id, what) = (id.clone(), Wanted::Bye);
        self.wait_for(Waiting { id, call, what });
        Ok(None)
    }

    fn modify(&mut self, now: Now, id: &Id, call: String, params: Params) -> Done {
        let action = params.action.as_deref().unwrap_or_default();
        let line = self.ready()?;
        let (done, what) = match action {
            "hold" | "unhold" | "toggleHold" => {
                let (on, action) = match action {
                    "hold" => (true, "hold"),
                    "unhold" => (false, "unhold"),
                    _ => (!line.is_held(&call), "toggleHold"),
                };
                (line.hold(now, &call, on), Wanted::Hold { on, action })
            }
            "updateMedia" => {
                let sdp = sdp_of(params.sdp)?;
                (line.renegotiate(now, &call, sdp), Wanted::Anew)
            }
            "transfer" => {
                let to = params.destination.ok_or_else(|| missing("destination"))?;
                let what = Wanted::Transfer { action: "transfer" };
                (line.refer(now, &call, &to), what)
            }
            "replace" => {
                let other = params.replaced.ok_or_else(|| missing("replaceCallID"))?;
                let what = Wanted::Transfer { action: "replace" };
                (line.refer_replacing(now, &call, &other), what)
            }
            _ => {
                return Err(missing(
                    "action: hold, unhold, toggleHold, updateMedia, transfer or replace",
                ));
            }
        };
        done.map_err(|why| refused(why, &call))?;
        let id = id.clone();
        self.wait_for(Waiting { id, call, what });
        Ok(None)
    }

    fn info(&mut self, now: Now, call: &str, params: &Params) -> Done {
        let keys = params.dtmf.as_deref().unwrap_or_default();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(missing("dtmf: one to 32 keys"));
        }
        let line = self.ready()?;
        for key in keys.chars() {
            line.key(now, call, key).map_err(|why| refused(why, call))?;
        }
        Ok(Some(json!({"message": "SENT", "callID": call})))
    }

    fn wait_for(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }
}

fn sdp_of(sdp: Option<String>) -> Result<bytes::Bytes, Refusal> {
    match sdp {
        Some(sdp) if !sdp.is_empty() => Ok(sdp.into()),
        _ => Err(missing("sdp")),
    }
}

fn missing(what: &str) -> Refusal {
    Refusal::new(wire::PARAMS, format!("want {what}"))
}

pub(super) fn refused(why: LineError, call: &str) -> Refusal {
    let code = match why {
        LineError::Unwritable => wire::PARAMS,
        _ => wire::CALL,
    };
    let message = match why {
        // The word by which clients know that a call is gone.
        LineError::NoSuchCall => format!("CALL DOES NOT EXIST: {}", printable(call)),
        other => other.to_string(),
    };
    Refusal::new(code, message)
}

/// Whether a client may send that header: its own, not what tells others who it is or where it goes.
fn may_say(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("x-") && !lower.starts_with("x-tandem-")
}

/// The longest name of a call.
const CALL_MAX: usize = 64;
/// Keys of one message.
const KEYS_MAX: usize = 32;
