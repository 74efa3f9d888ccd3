//! What the user agent says to its user, and what the user asks of it.

use crate::auth::{Algorithm, Credentials};
use crate::dialog::TimerPolicy;
use crate::message::{Message, Method};
use crate::transport::Flow;
use bytes::Bytes;

/// Names one INVITE session, from the INVITE to its end. Never used twice by one user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Names one request other than INVITE: one that came and awaits a response, or one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something for the outside to do.
#[derive(Clone, Debug)]
#[must_use]
pub enum Output {
    /// Send these bytes on this flow.
    Transmit {
        /// Where to; a stream flow without a connection asks for one to be opened.
        flow: Flow,
        /// One whole message.
        bytes: Bytes,
    },
    /// Something happened.
    Event(Event),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A call came. A 100 was sent already; answer with `progress`, `accept` or `end`.
    Invited {
        /// The new session.
        session: SessionId,
        /// The INVITE.
        request: Message,
        /// Where it came from.
        flow: Flow,
        /// Its SDP; without one our answer must carry the offer.
        offer: Option<Bytes>,
        /// The session whose place it shall take (RFC 3891): confirmed, or an early one of ours.
        /// Accept it and end that one, or refuse it; whether the caller may is not checked here.
        replaces: Option<SessionId>,
    },
    /// A provisional response to our INVITE came; 100 is not reported.
    Progressed {
        /// The session.
        session: SessionId,
        /// 101 to 199.
        status: u16,
        /// Its SDP: early media.
        body: Option<Bytes>,
        /// Which early dialog, counted from 0 in order of appearance.
        fork: u32,
        /// It was sent reliably, and its PRACK waits for `acknowledge`: with our answer, if it carries
        /// their offer (our INVITE had none); with a further offer or nothing for
        /// [`Reliable::ByUser`].
        needs_answer: bool,
        /// The whole response.
        response: Message,
    },
    /// Our INVITE was answered. The ACK was sent, unless `needs_answer`.
    Answered {
        /// The session.
        session: SessionId,
        /// Its SDP: the answer to our offer, or their offer if we made none. An answer that came
        /// reliably before is given again; `None` if another exchange was completed since.
        body: Option<Bytes>,
        /// They offered in the 2xx: call `acknowledge` with our answer.
        needs_answer: bool,
        /// Which early dialog became the call, as numbered by [`Event::Progressed`].
        fork: u32,
        /// The whole response.
        response: Message,
    },
    /// Our INVITE was refused: the session is over.
    Refused {
        /// The session.
        session: SessionId,
        /// 300 to 699; 408 when nobody answered in time, 503 when the flow failed.
        status: u16,
        /// The reason phrase.
        reason: String,
        /// The Q.850 cause of the Reason header (RFC 3326).
        q850: Option<u16>,
        /// The response, if there was one.
        response: Option<Message>,
    },
    /// The 200 that was asked for waits until what was said reliably before it is acknowledged
    /// (RFC 3262 §3): [`Event::AnswerSent`] follows, or the end.
    AnswerHeld {
        /// The session.
        session: SessionId,
    },
    /// The 200 that was held has gone out.
    AnswerSent {
        /// The session.
        session: SessionId,
    },
    /// The ACK for our 2xx came: the call stands.
    Confirmed {
        /// The session.
        session: SessionId,
        /// The answer to an offer that our 2xx carried.
        body: Option<Bytes>,
    },
    /// A re-INVITE or UPDATE came, or a PRACK with an offer: `answer_offer` or `refuse_offer`.
    Offered {
        /// The session.
        session: SessionId,
        /// Their offer; `None` asks for ours.
        body: Option<Bytes>,
        /// Whose it is before our INVITE is answered, as numbered by [`Event::Progressed`]; else 0.
        fork: u32,
    },
    /// Our re-INVITE was answered, or in an early dialog our UPDATE, the offer in our PRACK, or the one in
    /// our reliable provisional response. 491 is retried inside, unless their offer is answered first:
    /// then it is told, and ours may be made anew.
    OfferAnswered {
        /// The session.
        session: SessionId,
        /// Their SDP (to a re-INVITE without a body: their offer, to be answered by `acknowledge`), or
        /// the status of the refusal.
        result: Result<Option<Bytes>, u16>,
    },
    /// A request came in the dialog: `respond_in`.
    InDialog {
        /// The session.
        session: SessionId,
        /// Names it in `respond_in`.
        request_id: RequestId,
        /// INFO, REFER, NOTIFY, MESSAGE or SUBSCRIBE; OPTIONS is answered inside.
        request: Message,
    },
    /// A request of ours in the dialog was answered.
    InDialogResponse {
        /// The session.
        session: SessionId,
        /// As returned by `request_in`.
        request_id: RequestId,
        /// A final status; 408 on silence, 503 when the flow failed.
        status: u16,
        /// The response, if there was one.
        response: Option<Message>,
    },
    /// An answered call, or one that had come to us, is over.
    Ended {
        /// The session.
        session: SessionId,
        /// Whose doing it was.
        by: EndedBy,
        /// The status that ended it: of a refusal of ours, or of the response that broke the dialog.
        status: Option<u16>,
        /// The Q.850 cause of the Reason header (RFC 3326).
        q850: Option<u16>,
        /// The Reason header's values as they came.
        reason: Option<String>,
    },
    /// A request came outside any dialog: `respond`.
    Requested {
        /// Names it in `respond`.
        request_id: RequestId,
        /// REGISTER, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, REFER or INFO.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// The machine itself refused a request outside any dialog: told for whoever asks why.
    TurnedAway {
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
        /// The status of our answer.
        status: u16,
        /// What is wrong with it; `None` for a session interval (422) and a merged request (482).
        why: Option<crate::message::Cause>,
    },
    /// A request of ours outside any dialog was answered.
    Response {
        /// As returned by `request`.
        request_id: RequestId,
        /// A final status; 408 on silence, 503 when the flow failed.
        status: u16,
        /// The response, if there was one.
        response: Option<Message>,
        /// The realm and algorithm of the proof that the request held, if it held one alone.
        proven: Option<(String, Algorithm)>,
    },
}

/// Whose doing the end of a session was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// Their BYE.
    Peer,
    /// Our `end`.
    Us,
    /// They never acknowledged our 2xx, or our reliable provisional response.
    NoAck,
    /// The session timer ran out, or a refresh failed (RFC 4028).
    SessionTimer,
    /// Their CANCEL, before we answered.
    Cancelled,
    /// The flow failed, or the dialog is gone at their end (408 or 481 to a request in it).
    FlowFailed,
}

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Whom to call.
    pub request_uri: String,
    /// Where to send it.
    pub flow: Flow,
    /// The From name-addr, without a tag.
    pub from: String,
    /// The To name-addr, without a tag.
    pub to: String,
    /// The user part of our Contact.
    pub contact_user: String,
    /// Further headers, in order; a Route among them is honoured.
    pub headers: Vec<(String, String)>,
    /// Our SDP; `None` asks them to offer.
    pub offer: Option<Bytes>,
    /// Who we are, if they ask.
    pub credentials: Option<Credentials>,
    /// The hops it may take, usually 70.
    pub max_forwards: u8,
    /// Whether its provisional responses may be sent reliably.
    pub reliable: Reliable,
    /// Its session timer; `None`: as the configuration says.
    pub timers: Option<TimerPolicy>,
}

/// What an INVITE says of provisional responses that are acknowledged (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// Nothing; one that is sent reliably all the same is treated like any other.
    No,
    /// They are supported: each is acknowledged at once, unless it carries an offer.
    #[default]
    Supported,
    /// They are required: who does not know them refuses with 420.
    Required,
    /// They are supported, and none is acknowledged before [`super::UserAgent::acknowledge`] says with
    /// what: its PRACK may carry an offer of ours.
    ByUser,
}

/// A request outside any dialog to be sent.
#[derive(Clone, Debug)]
pub struct OutOfDialog {
    /// REGISTER, OPTIONS, MESSAGE … but neither INVITE, ACK nor CANCEL.
    pub method: Method,
    /// Its target.
    pub request_uri: String,
    /// Where to send it.
    pub flow: Flow,
    /// The From name-addr, without a tag.
    pub from: String,
    /// The To name-addr, without a tag.
    pub to: String,
    /// The user part of our Contact; `None` sends no Contact.
    pub contact_user: Option<String>,
    /// Further headers, in order. `Call-ID` and `CSeq` (a number) are taken over if given, as a
    /// registration needs them (RFC 3261 §10.2).
    pub headers: Vec<(String, String)>,
    /// Content type and bytes.
    pub body: Option<(String, Bytes)>,
    /// Who we are, if they ask.
    pub credentials: Option<Credentials>,
}

/// How to end a session: what to say depends on its state.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The refusal's status where one can be given (486, 603 …); 0 means 603 on the callee's side.
    pub status: u16,
    /// The value of a Reason header, see [`super::q850`].
    pub reason: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// Why a request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// A configured limit is reached.
    #[error("at the limit of transactions or dialogs")]
    Full,
    /// The session is not there, or not in a state for this.
    #[error("the session is not there, or cannot do this now")]
    NotNow,
    /// The flow names a listener that is not configured.
    #[error("the flow's listener is not configured")]
    NoListener,
    /// A header or address cannot be written: it has line breaks or is malformed.
    #[error("an address or header cannot be written")]
    Malformed,
}

/// What the user agent holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions open or lingering, both roles.
    pub transactions: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Sessions.
    pub sessions: usize,
    /// Timers waiting.
    pub timers: usize,
    /// Messages that could not be parsed, dropped or answered.
    pub malformed: u64,
    /// Well-formed messages that belong to nothing: responses without a request, ACKs without a 2xx.
    pub strays: u64,
    /// Requests turned away because of a limit.
    pub refused_full: u64,
    /// Transactions forgotten before their time, to make room: answered, and too old for copies.
    pub forgotten: u64,
    /// Requests that repeated an earlier one, absorbed by its transaction.
    pub retransmissions: u64,
    /// Challenges from where our credentials are not for: not answered.
    pub foreign_challenges: u64,
}
