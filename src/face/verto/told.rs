//! What a client is told of its calls.

use bytes::Bytes;
use clock::Now;
use serde_json::{Value, json};

use super::calls::refused;
use super::wire::{self, Refusal};
use super::{Verto, Waiting, Wanted};
use crate::face::line::{By, Event, Incoming, LineError, Progress};

impl Verto {
    pub(super) fn on_call_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Ringing { call, sdp, .. } => match sdp {
                None => self.tell("ringing", &call, Value::Null),
                Some(sdp) => self.tell("media", &call, json!({"sdp": text(&sdp)})),
            },
            Event::Incoming(incoming) => self.on_incoming(*incoming),
            Event::Answered { call, sdp, id } => self.on_answered(&call, sdp, id),
            Event::Held { call, on } => self.on_held(&call, on),
            Event::Offered { call, sdp, id } => self.on_offered(now, &call, &sdp, id),
            Event::NotRenegotiated { call, status } => {
                if let Some(waiting) = self.waits(&call, |what| what == Wanted::Anew) {
                    let why = format!("the new description was refused ({status})");
                    self.refuse(&waiting.id, &Refusal::new(wire::CALL, why));
                }
            }
            Event::Referred { call, progress } => self.on_referred(&call, progress),
            Event::Ended {
                call,
                by,
                status,
                q850,
                reason,
            } => self.on_ended(&call, by, (status, q850, reason)),
            Event::Registered | Event::Refused { .. } => {}
        }
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        let Incoming {
            call,
            sdp,
            from,
            id,
            headers,
        } = incoming;
        let user = self.line().map(|line| line.user().to_owned());
        let headers: Vec<Value> = headers
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let name = match from.name.is_empty() {
            true => &from.number,
            false => &from.name,
        };
        let more = json!({
            "sdp": text(&sdp),
            "caller_id_name": name, "caller_id_number": from.number,
            "callee_id_name": user, "callee_id_number": user,
            "dialogParams": {"custom_headers": headers},
        });
        self.tell_of("invite", &call, id, more);
    }

    fn on_answered(&mut self, call: &str, sdp: Option<Bytes>, id: Option<String>) {
        let sdp = sdp.map(|sdp| text(&sdp));
        if let Some(waiting) = self.waits(call, |what| what == Wanted::Anew) {
            let sessid = self.session.clone();
            let result =
                json!({"action": "updateMedia", "callID": call, "sdp": sdp, "sessid": sessid});
            return self.reply(&waiting.id, result);
        }
        let more = match sdp {
            Some(sdp) => json!({"sdp": sdp}),
            None => Value::Null,
        };
        self.tell_of("answer", call, id, more);
    }

    fn on_held(&mut self, call: &str, on: bool) {
        let is_hold = |what| matches!(what, Wanted::Hold { .. });
        let Some(waiting) = self.waits(call, is_hold) else {
            return;
        };
        match waiting.what {
            Wanted::Hold { on: wanted, action } if wanted == on => {
                let state = if on { "held" } else { "active" };
                let result = json!({
                    "action": action, "callID": call, "holdState": state, "sessid": self.session,
                });
                self.reply(&waiting.id, result);
            }
            _ => {
                let why = Refusal::new(wire::CALL, "the call cannot be held, or not go on, now");
                self.refuse(&waiting.id, &why);
            }
        }
    }

    /// Their offer: of a call that is taken up again. One in the middle of a call has no message here.
    fn on_offered(&mut self, now: Now, call: &str, sdp: &Bytes, id: Option<String>) {
        let Some(line) = self.line() else { return };
        if line.is_up(call) {
            let _ = line.refuse(now, call, 488);
            return;
        }
        let party = line.party(call).cloned().unwrap_or_default();
        let (user, name) = (line.user().to_owned(), &party.name);
        let name = if name.is_empty() { &party.number } else { name };
        let more = json!({
            "sdp": text(sdp),
            "caller_id_name": name, "caller_id_number": party.number,
            "callee_id_name": user, "callee_id_number": user,
        });
        self.tell_of("attach", call, id, more);
    }

    fn on_referred(&mut self, call: &str, progress: Progress) {
        let is_transfer = |what| matches!(what, Wanted::Transfer { .. });
        let Some(waiting) = self.waits(call, is_transfer) else {
            return;
        };
        let Wanted::Transfer { action } = waiting.what else {
            return;
        };
        match progress {
            Progress::Trying(_) | Progress::Done => {
                let sessid = &self.session;
                let result = json!({"action": action, "callID": call, "sessid": sessid});
                self.reply(&waiting.id, result);
            }
            Progress::Failed(status) => {
                let why = format!("the transfer was refused ({status})");
                self.refuse(&waiting.id, &Refusal::new(wire::CALL, why));
            }
        }
    }

    fn on_ended(
        &mut self,
        call: &str,
        by: By,
        (status, q850, reason): (Option<u16>, Option<u16>, Option<String>),
    ) {
        let (code, cause) = cause(by, status, q850);
        let mut asked = false;
        while let Some(waiting) = self.waits(call, |_| true) {
            if waiting.what == Wanted::Bye {
                asked = true;
                let sessid = &self.session;
                let result = json!({
                    "message": "CALL ENDED", "callID": call, "causeCode": code, "cause": cause,
                    "sessid": sessid,
                });
                self.reply(&waiting.id, result);
            } else {
                self.refuse(&waiting.id, &refused(LineError::NoSuchCall, call));
            }
        }
        if !asked {
            let more = json!({
                "causeCode": code, "cause": cause, "sipCode": status, "sipReason": reason,
            });
            self.tell("bye", call, more);
        }
    }

    fn tell(&mut self, method: &str, call: &str, more: Value) {
        self.tell_of(method, call, None, more);
    }

    /// A message about a call; `id` is what the server's API calls it.
    fn tell_of(&mut self, method: &str, call: &str, id: Option<String>, more: Value) {
        let mut params = json!({"callID": call});
        let id = id.map_or(Value::Null, Value::from);
        let names = json!({
            "telnyx_call_control_id": id, "telnyx_session_id": id, "telnyx_leg_id": call,
        });
        let parts = [names, more].into_iter();
        let parts = parts.filter_map(|it| match it {
            Value::Object(members) => Some(members),
            _ => None,
        });
        if let Value::Object(all) = &mut params {
            all.extend(parts.flatten().filter(|(_, value)| !value.is_null()));
        }
        self.ask(method, params);
    }

    /// Takes the oldest request of a call that waits for such a thing.
    fn waits(&mut self, call: &str, is_it: impl Fn(Wanted) -> bool) -> Option<Waiting> {
        let mut all = self.waiting.iter();
        let at = all.position(|it| it.call == call && is_it(it.what))?;
        Some(self.waiting.remove(at))
    }
}

fn text(sdp: &Bytes) -> String {
    String::from_utf8_lossy(sdp).into_owned()
}

/// The cause by number and name (Q.850, as FreeSWITCH spells it).
fn cause(by: By, status: Option<u16>, q850: Option<u16>) -> (u16, &'static str) {
    let by_status = status.map(|status| match status {
        404 | 604 => 1,
        486 | 600 => 17,
        408 | 480 => 18,
        403 | 603 => 21,
        410 => 22,
        484 => 28,
        487 => 487,
        488 | 606 => 88,
        503 => 41,
        _ => 31,
    });
    let usual = match by {
        By::Us | By::Them => 16,
        By::Nobody => 41,
    };
    let code = q850.or(by_status).unwrap_or(usual);
    let name = match code {
        1 => "UNALLOCATED_NUMBER",
        16 => "NORMAL_CLEARING",
        17 => "USER_BUSY",
        18 => "NO_USER_RESPONSE",
        19 => "NO_ANSWER",
        21 => "CALL_REJECTED",
        22 => "NUMBER_CHANGED",
        27 => "DESTINATION_OUT_OF_ORDER",
        28 => "INVALID_NUMBER_FORMAT",
        34 => "NORMAL_CIRCUIT_CONGESTION",
        41 => "NORMAL_TEMPORARY_FAILURE",
        88 => "INCOMPATIBLE_DESTINATION",
        102 => "RECOVERY_ON_TIMER_EXPIRE",
        487 => "ORIGINATOR_CANCEL",
        _ => "NORMAL_UNSPECIFIED",
    };
    (code, name)
}
