//! What a line says, and what it is asked with.

use bytes::Bytes;

/// Something for the face to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Output {
    /// Send this message to control.
    Transmit(Bytes),
    /// Something happened.
    Event(Event),
}

/// What happened. `call` is the call's name on this line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whoever is on the line has proven it and can be called. Told once, not at each refresh.
    Registered,
    /// He has not, or not any more: the line is of no use until [`super::Line::register`] is asked again.
    Refused {
        /// The status: 401 and 403 are his fault; 408 and 5xx are ours.
        status: u16,
        /// The words of the refusal.
        reason: String,
    },
    /// A call that we dialled rings.
    Ringing {
        /// Which.
        call: String,
        /// 180, 183 …
        status: u16,
        /// What is to be heard before the answer: the answer to our offer, and the one of
        /// [`Event::Answered`] unless that has another.
        sdp: Option<Bytes>,
    },
    /// A call comes: answer or refuse it.
    Incoming(Box<Incoming>),
    /// What we offered is answered: the call that we dialled stands, or is agreed on anew
    /// ([`super::Line::renegotiate`]).
    Answered {
        /// Which.
        call: String,
        /// Their answer; none where [`Event::Ringing`] had it.
        sdp: Option<Bytes>,
        /// What the server's API calls the call.
        id: Option<String>,
    },
    /// The call is held in the client's name, or no longer: as it is now, whether or not that was asked.
    Held {
        /// Which.
        call: String,
        /// Whether.
        on: bool,
    },
    /// They offer: in a call that is taken up again ([`super::Line::attach`]), or a change of one that
    /// stands. Answer it by [`super::Line::answer`].
    Offered {
        /// Which.
        call: String,
        /// Their offer.
        sdp: Bytes,
        /// What the server's API calls the call.
        id: Option<String>,
    },
    /// What was offered anew is refused; the call stands as it was.
    NotRenegotiated {
        /// Which.
        call: String,
        /// Why.
        status: u16,
    },
    /// How a transfer goes.
    Referred {
        /// The call that was to be handed on.
        call: String,
        /// How.
        progress: Progress,
    },
    /// The call is over; its name is free again.
    Ended {
        /// Which.
        call: String,
        /// Whose doing it was.
        by: By,
        /// The status that refused or ended it.
        status: Option<u16>,
        /// The Q.850 cause that was given.
        q850: Option<u16>,
        /// Its words, as they came: a reason phrase, or the value of a Reason header.
        reason: Option<String>,
    },
}

/// A call that comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// Its name on this line.
    pub call: String,
    /// Their offer.
    pub sdp: Bytes,
    /// Who calls.
    pub from: Party,
    /// What the server's API calls the call.
    pub id: Option<String>,
    /// The headers whose names begin with X-, in order; at most [`super::HEADERS_MAX`].
    pub headers: Vec<(String, String)>,
}

/// Who is at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The display name; empty where there is none.
    pub name: String,
    /// The number or name that was dialled or shown.
    pub number: String,
}

/// How a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is accepted, and under way with that status of whoever is called.
    Trying(u16),
    /// The other party is in our place; our own end of the call ends.
    Done,
    /// It came to nothing; the call stands as it was.
    Failed(u16),
}

/// Whose doing the end of a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Ours, by a verb.
    Us,
    /// The other side's.
    Them,
    /// Nobody's: the way between broke, or somebody did not answer in time.
    Nobody,
}

/// A call to be placed.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// A number, a name, or a SIP URI, of which the user part counts: whom an endpoint may call is the
    /// dialplan's to say.
    pub to: String,
    /// The client's offer.
    pub sdp: Bytes,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// A call that stood when its page went: what another line of the same user needs to take it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Its name on the line.
    pub call: String,
    /// Its dialog, as a Replaces header names it.
    pub replaces: String,
    /// Who is at the other end.
    pub party: Party,
    /// Whether it had come to us.
    pub incoming: bool,
}
