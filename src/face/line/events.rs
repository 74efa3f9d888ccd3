//! What the SIP machine tells of a line's calls, in the face's words.

use bytes::Bytes;
use clock::Now;
use sip::message::{Message, Method};
use sip::ua::{self, EndedBy, Ending, RequestId, SessionId};

use super::calls::{Call, Change, Phase};
use super::event::{By, Event, Incoming, Party, Progress};
use super::{CALLS_MAX, Line};

impl Line {
    pub(super) fn on_event(&mut self, now: Now, event: ua::Event) {
        match event {
            ua::Event::Invited {
                session,
                request,
                offer,
                replaces,
                ..
            } => self.on_invited(now, session, &request, offer.filter(|_| replaces.is_none())),
            ua::Event::Progressed {
                session,
                status,
                body,
                ..
            } => self.on_progress(session, status, body),
            ua::Event::Answered {
                session,
                body,
                needs_answer,
                response,
                ..
            } => self.on_answered(now, session, (body, needs_answer), &response),
            ua::Event::Refused {
                session,
                status,
                reason,
                q850,
                response,
            } => {
                let by = response.map_or(By::Nobody, |_| By::Them);
                self.over(session, by, (Some(status), q850, Some(reason)));
            }
            ua::Event::Ended {
                session,
                by,
                status,
                q850,
                reason,
            } => self.over(session, whose(by), (status, q850, reason)),
            ua::Event::Offered { session, body, .. } => self.on_offered(now, session, body),
            ua::Event::OfferAnswered { session, result } => {
                self.on_offer_answered(session, result);
            }
            ua::Event::InDialog {
                session,
                request_id,
                request,
            } => self.on_request(now, session, request_id, &request),
            ua::Event::InDialogResponse {
                session,
                request_id,
                status,
                ..
            } => self.on_refer_answered(session, request_id, status),
            ua::Event::Response {
                request_id,
                status,
                response,
                ..
            } => self.on_response(now, request_id, status, response.as_ref()),
            ua::Event::Requested {
                request_id,
                request,
                ..
            } => {
                let asks = request.method() == Some(Method::Options);
                let status = if asks { 200 } else { 405 };
                self.ua.respond(now, request_id, status, &[], None);
            }
            ua::Event::Confirmed { .. }
            | ua::Event::AnswerHeld { .. }
            | ua::Event::AnswerSent { .. }
            | ua::Event::TurnedAway { .. } => {}
        }
    }

    fn on_invited(
        &mut self,
        now: Now,
        session: SessionId,
        request: &Message,
        offer: Option<Bytes>,
    ) {
        let Some(sdp) = offer.filter(|_| self.calls.len() < CALLS_MAX) else {
            let ending = Ending {
                status: if self.calls.len() < CALLS_MAX {
                    488
                } else {
                    486
                },
                ..Ending::default()
            };
            return self.ua.end(now, session, ending);
        };
        self.ua.progress(now, session, 180, None);
        let name = self.name_of(request.call_id().unwrap_or_default());
        let mut call = Call::new(name.clone(), session, Phase::Ringing);
        call.party = caller(request);
        call.incoming = true;
        let incoming = Incoming {
            call: name,
            sdp,
            from: call.party.clone(),
            id: id_in(request),
            headers: further(request),
        };
        self.calls.push(call);
        self.tell(Event::Incoming(Box::new(incoming)));
    }

    /// A name for a call that comes: its SIP Call-ID, of 128 random bits, written as a UUID.
    fn name_of(&self, call_id: &str) -> String {
        let is_hex = call_id.len() == 32 && call_id.bytes().all(|it| it.is_ascii_hexdigit());
        let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        let cut: Vec<&str> = parts
            .iter()
            .filter_map(|(from, to)| call_id.get(*from..*to))
            .collect();
        let name = if is_hex {
            cut.join("-")
        } else {
            call_id.to_owned()
        };
        match self.at(&name) {
            Err(_) => name,
            // Two legs of one dialog cannot be; a client's own name may.
            Ok(_) => format!("{name}-{}", self.calls.len()),
        }
    }

    fn on_progress(&mut self, session: SessionId, status: u16, body: Option<Bytes>) {
        let Some(call) = self.call_of(session) else {
            return;
        };
        let Phase::Dialling { early } = &mut call.phase else {
            return;
        };
        let sdp = body.filter(|sdp| early.as_ref() != Some(sdp));
        if sdp.is_some() {
            early.clone_from(&sdp);
        }
        let call = call.name.clone();
        self.tell(Event::Ringing { call, status, sdp });
    }

    fn on_answered(
        &mut self,
        now: Now,
        session: SessionId,
        (body, needs_answer): (Option<Bytes>, bool),
        response: &Message,
    ) {
        let Some(call) = self.call_of(session) else {
            return;
        };
        let early = match &mut call.phase {
            Phase::Dialling { early } => early.take(),
            _ => None,
        };
        let (name, id) = (call.name.clone(), id_in(response));
        match body {
            Some(sdp) if needs_answer => {
                call.phase = Phase::Attaching;
                self.tell(Event::Offered {
                    call: name,
                    sdp,
                    id,
                });
            }
            body if body.is_some() || early.is_some() => {
                call.phase = Phase::Up;
                let sdp = body.filter(|sdp| early.as_ref() != Some(sdp));
                self.tell(Event::Answered {
                    call: name,
                    sdp,
                    id,
                });
            }
            // Nothing to hear anybody by.
            _ => self.ua.end(now, session, Ending::default()),
        }
    }

    fn on_offered(&mut self, now: Now, session: SessionId, body: Option<Bytes>) {
        let Some(call) = self.call_of(session) else {
            return;
        };
        let Some(sdp) = body else {
            // They want our offer: what stands.
            let ours = super::sdp::worded(&call.local, call.steps, call.held);
            return self.ua.answer_offer(now, session, Some(ours));
        };
        call.change = Some(Change::Theirs);
        let (call, id) = (call.name.clone(), None);
        self.tell(Event::Offered { call, sdp, id });
    }

    fn on_offer_answered(&mut self, session: SessionId, result: Result<Option<Bytes>, u16>) {
        let Some(call) = self.call_of(session) else {
            return;
        };
        let name = call.name.clone();
        let told = match (call.change.take(), result) {
            (Some(Change::Hold(on)), result) => {
                if result.is_ok() {
                    call.held = on;
                }
                let on = call.held;
                Event::Held { call: name, on }
            }
            (Some(Change::Anew(local)), Ok(sdp @ Some(_))) => {
                call.local = local;
                let id = None;
                Event::Answered {
                    call: name,
                    sdp,
                    id,
                }
            }
            (Some(Change::Anew(_)), result) => Event::NotRenegotiated {
                call: name,
                status: result.err().unwrap_or(488),
            },
            // Ours met theirs, which goes first.
            (theirs, _) => return call.change = theirs,
        };
        self.tell(told);
    }

    fn on_request(&mut self, now: Now, session: SessionId, id: RequestId, request: &Message) {
        let taken = matches!(request.method(), Some(Method::Notify | Method::Info));
        let status = if taken { 200 } else { 405 };
        self.ua.respond_in(now, id, status, &[], None);
        if request.method() != Some(Method::Notify) {
            return;
        }
        let last = request
            .subscription_state()
            .is_ok_and(|state| state.is_some_and(|it| it.label.eq_ignore_ascii_case("terminated")));
        let Some(status) = sipfrag(request.body()) else {
            return;
        };
        let Some(call) = self.call_of(session).filter(|it| it.referring.is_some()) else {
            return;
        };
        let progress = match status {
            200..=299 => Progress::Done,
            300.. => Progress::Failed(status),
            _ => Progress::Trying(status),
        };
        if last || progress != Progress::Trying(status) {
            call.referring = None;
        }
        let call = call.name.clone();
        self.tell(Event::Referred { call, progress });
    }

    fn on_refer_answered(&mut self, session: SessionId, id: RequestId, status: u16) {
        let call = self.call_of(session);
        let Some(call) = call.filter(|call| call.referring == Some(id)) else {
            return;
        };
        let progress = match status {
            200..=299 => Progress::Trying(100),
            _ => {
                call.referring = None;
                Progress::Failed(status)
            }
        };
        let call = call.name.clone();
        self.tell(Event::Referred { call, progress });
    }

    fn over(
        &mut self,
        session: SessionId,
        by: By,
        (status, q850, reason): (Option<u16>, Option<u16>, Option<String>),
    ) {
        let Some(at) = self.calls.iter().position(|call| call.session == session) else {
            return;
        };
        let call = self.calls.remove(at).name;
        self.tell(Event::Ended {
            call,
            by,
            status,
            q850,
            reason,
        });
    }
}

const fn whose(by: EndedBy) -> By {
    match by {
        EndedBy::Us => By::Us,
        EndedBy::Peer | EndedBy::Cancelled => By::Them,
        EndedBy::NoAck | EndedBy::SessionTimer | EndedBy::FlowFailed => By::Nobody,
    }
}

/// Who calls, as the From shows it.
fn caller(request: &Message) -> Party {
    let Ok(from) = request.from() else {
        return Party::default();
    };
    let number = from.uri.user_name().unwrap_or_default();
    Party {
        name: from.display().into_owned(),
        number: number.into_owned(),
    }
}

/// What the server's API calls the call.
fn id_in(message: &Message) -> Option<String> {
    message.header_named("X-Tandem-Call").map(str::to_owned)
}

fn further(request: &Message) -> Vec<(String, String)> {
    let is_further = |name: &str| {
        name.get(..2)
            .is_some_and(|it| it.eq_ignore_ascii_case("x-"))
    };
    let lines = request.lines().filter(|line| is_further(line.name_text()));
    let pairs = lines.map(|line| (line.name_text().to_owned(), line.value().to_owned()));
    pairs.take(super::HEADERS_MAX).collect()
}

/// The status that a NOTIFY of a REFER's progress carries (RFC 3515 §2.4.5).
fn sipfrag(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("SIP/2.0 ")?.split(' ');
    words
        .next()?
        .parse()
        .ok()
        .filter(|it| (100..700).contains(it))
}
