//! The verbs of calls.
//!
//! ```text
//!   dial ──▶ Dialling ── Answered ──▶ Up ◀── answer ── Ringing ◀── Incoming
//!   attach ─▶ Dialling ── Offered ──▶ Attaching ── answer ──▶ Up        any ── hang_up, their end ──▶ Ended
//! ```

use bytes::Bytes;
use clock::Now;
use sip::message::{Method, Uri};
use sip::ua::{Ending, Invite, Reliable, RequestId, SessionId};

use super::event::{Dial, Left, Party};
use super::{CALLS_MAX, Line, LineError, sdp};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) session: SessionId,
    pub(super) phase: Phase,
    /// The client's latest description, as it gave it.
    pub(super) local: Bytes,
    /// How often another than the client's own was said: what its versions run ahead.
    pub(super) steps: u64,
    pub(super) held: bool,
    pub(super) change: Option<Change>,
    /// A transfer that was asked for and is not over.
    pub(super) referring: Option<RequestId>,
    pub(super) party: Party,
    pub(super) incoming: bool,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Our INVITE is under way; what was said of sound before the answer.
    Dialling { early: Option<Bytes> },
    /// Theirs waits for us.
    Ringing,
    /// They have offered in their 200, which waits for our answer.
    Attaching,
    /// It stands.
    Up,
}

/// A change of a call's media that is under way: one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Hold(bool),
    /// With the description that stands if it is agreed to.
    Anew(Bytes),
    /// They have asked for one.
    Theirs,
}

impl Call {
    pub(super) fn new(name: String, session: SessionId, phase: Phase) -> Self {
        Self {
            name,
            session,
            phase,
            local: Bytes::new(),
            steps: 0,
            held: false,
            change: None,
            referring: None,
            party: Party::default(),
            incoming: false,
        }
    }

    /// What is said of a description of the client's now.
    fn worded(&self, local: &Bytes) -> Bytes {
        sdp::worded(local, self.steps, self.held)
    }
}

impl Line {
    /// Calls somebody; `name` is free, and is the call's from now on.
    ///
    /// # Errors
    /// [`LineError::NameTaken`], [`LineError::Full`], [`LineError::Unwritable`].
    pub fn dial(&mut self, now: Now, name: &str, dial: Dial) -> Result<(), LineError> {
        let Dial { to, sdp, headers } = dial;
        let user = called(&to).ok_or(LineError::Unwritable)?;
        let session = self.invite(now, name, &user, Some(sdp.clone()), headers)?;
        let mut call = Call::new(name.to_owned(), session, Phase::Dialling { early: None });
        call.local = sdp;
        call.party.number = user;
        self.calls.push(call);
        self.pump(now);
        Ok(())
    }

    /// Takes up a call that another line of the same user has left: the other one's place is ours once their
    /// offer, an [`super::Event::Offered`], is answered.
    ///
    /// # Errors
    /// As [`Line::dial`].
    pub fn attach(&mut self, now: Now, left: Left) -> Result<(), LineError> {
        let headers = vec![("Replaces".to_owned(), left.replaces)];
        // The dialplan is not asked: the call is there.
        let user = self.config.user.clone();
        let session = self.invite(now, &left.call, &user, None, headers)?;
        let mut call = Call::new(left.call, session, Phase::Dialling { early: None });
        (call.party, call.incoming) = (left.party, left.incoming);
        self.calls.push(call);
        self.pump(now);
        Ok(())
    }

    fn invite(
        &mut self,
        now: Now,
        name: &str,
        user: &str,
        offer: Option<Bytes>,
        mut headers: Vec<(String, String)>,
    ) -> Result<SessionId, LineError> {
        if self.at(name).is_ok() {
            return Err(LineError::NameTaken);
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(LineError::Full);
        }
        headers.extend(self.config.bearer());
        let target = self.config.address(user);
        let invite = Invite {
            to: format!("<{target}>"),
            request_uri: target,
            flow: self.flow(),
            from: format!("<{}>", self.config.own_address()),
            contact_user: self.config.user.clone(),
            headers,
            offer,
            credentials: self.config.credentials(),
            max_forwards: 70,
            // Over a connection nothing is lost.
            reliable: Reliable::No,
            timers: None,
        };
        Ok(self.ua.invite(now, invite)?)
    }

    /// Answers a call that rings, or an offer of theirs, with the client's description.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`]; [`LineError::NotNow`] where nothing is to be answered.
    pub fn answer(&mut self, now: Now, name: &str, sdp: Bytes) -> Result<(), LineError> {
        let call = self.call(name)?;
        let (session, body) = (call.session, call.worded(&sdp));
        match (&call.phase, &call.change) {
            (Phase::Ringing, _) => {
                (call.phase, call.local) = (Phase::Up, sdp);
                self.ua.accept(now, session, Some(body), &[]);
            }
            (Phase::Attaching, _) => {
                (call.phase, call.local) = (Phase::Up, sdp);
                self.ua.acknowledge(now, session, Some(body));
            }
            (Phase::Up, Some(Change::Theirs)) => {
                (call.change, call.local) = (None, sdp);
                self.ua.answer_offer(now, session, Some(body));
            }
            _ => return Err(LineError::NotNow),
        }
        self.pump(now);
        Ok(())
    }

    /// Refuses a call that rings, or an offer of theirs, by that status.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`]; [`LineError::NotNow`] where there is nothing to refuse.
    pub fn refuse(&mut self, now: Now, name: &str, status: u16) -> Result<(), LineError> {
        let call = self.call(name)?;
        let session = call.session;
        match (&call.phase, &call.change) {
            (Phase::Ringing, _) => self.end(now, session, status),
            (Phase::Up, Some(Change::Theirs)) => {
                call.change = None;
                self.ua.refuse_offer(now, session, status);
            }
            _ => return Err(LineError::NotNow),
        }
        self.pump(now);
        Ok(())
    }

    /// Ends a call, whatever its state: one that rings is declined.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`].
    pub fn hang_up(&mut self, now: Now, name: &str) -> Result<(), LineError> {
        let session = self.call(name)?.session;
        self.end(now, session, 603);
        self.pump(now);
        Ok(())
    }

    fn end(&mut self, now: Now, session: SessionId, status: u16) {
        let ending = Ending {
            status,
            ..Ending::default()
        };
        self.ua.end(now, session, ending);
    }

    /// Holds a call in the client's name, or goes on with it: the other side hears music meanwhile, and
    /// nothing of the client, which need not change anything. [`super::Event::Held`] follows.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`]; [`LineError::NotNow`] unless the call stands and no change is under way.
    pub fn hold(&mut self, now: Now, name: &str, on: bool) -> Result<(), LineError> {
        let call = self.steady(name)?;
        call.steps += 1;
        call.change = Some(Change::Hold(on));
        let (session, body) = (call.session, sdp::worded(&call.local, call.steps, on));
        self.ua.reinvite(now, session, Some(body));
        self.pump(now);
        Ok(())
    }

    /// Whether a call is held in the client's name; one that is not there is not.
    pub fn is_held(&self, name: &str) -> bool {
        self.calls.iter().any(|call| call.name == name && call.held)
    }

    /// Whether a call stands: both sides have answered.
    pub fn is_up(&self, name: &str) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| call.name == name && call.phase == Phase::Up)
    }

    /// Who is at the other end of a call.
    pub fn party(&self, name: &str) -> Option<&Party> {
        let found = self.calls.iter().find(|call| call.name == name);
        found.map(|call| &call.party)
    }

    /// Offers anew, as after a change of the client's network (ICE restart). [`super::Event::Answered`] or
    /// [`super::Event::NotRenegotiated`] follows.
    ///
    /// # Errors
    /// As [`Line::hold`].
    pub fn renegotiate(&mut self, now: Now, name: &str, sdp: Bytes) -> Result<(), LineError> {
        let call = self.steady(name)?;
        // Its own version may have stood still, or may be one that was said in its name.
        call.steps += 1;
        let (session, body) = (call.session, call.worded(&sdp));
        call.change = Some(Change::Anew(sdp));
        self.ua.reinvite(now, session, Some(body));
        self.pump(now);
        Ok(())
    }

    /// Presses a key: 0 to 9, `*`, `#`, A to D.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`]; [`LineError::Unwritable`] for another key; [`LineError::NotNow`] before
    /// the answer.
    pub fn key(&mut self, now: Now, name: &str, digit: char) -> Result<(), LineError> {
        let digit = digit.to_ascii_uppercase();
        if !matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D') {
            return Err(LineError::Unwritable);
        }
        let session = self.standing(name)?.session;
        let text = format!("Signal={digit}\r\nDuration={KEY_MS}\r\n");
        let body = ("application/dtmf-relay".to_owned(), text.into());
        let sent = self
            .ua
            .request_in(now, session, Method::Info, &[], Some(body));
        self.pump(now);
        Ok(sent.map(|_| ())?)
    }

    /// Hands the other side on to somebody else, who is called in our place.
    /// [`super::Event::Referred`] tells how it goes.
    ///
    /// # Errors
    /// [`LineError::NoSuchCall`]; [`LineError::Unwritable`] for no target; [`LineError::NotNow`] unless the
    /// call stands and no other transfer is under way.
    pub fn refer(&mut self, now: Now, name: &str, target: &str) -> Result<(), LineError> {
        let user = called(target).ok_or(LineError::Unwritable)?;
        let to = format!("<{}>", self.config.address(&user));
        self.send_refer(now, name, to)
    }

    /// Hands the other side of one call to that of another, both of this line: they go on without it.
    ///
    /// # Errors
    /// As [`Line::refer`], for either call.
    pub fn refer_replacing(&mut self, now: Now, name: &str, other: &str) -> Result<(), LineError> {
        let other = self.standing(other)?;
        let (session, user) = (other.session, other.party.number.clone());
        let dialog = self.ua.dialog_name(session).ok_or(LineError::NotNow)?;
        let escape = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => c.to_string(),
            other => format!("%{:02X}", u32::from(other)),
        };
        let escaped: String = dialog.to_string().chars().map(escape).collect();
        let to = format!("<{}?Replaces={escaped}>", self.config.address(&user));
        self.send_refer(now, name, to)
    }

    fn send_refer(&mut self, now: Now, name: &str, to: String) -> Result<(), LineError> {
        let call = self.standing(name)?;
        if call.referring.is_some() {
            return Err(LineError::NotNow);
        }
        let session = call.session;
        let headers = [("Refer-To".to_owned(), to)];
        let id = self
            .ua
            .request_in(now, session, Method::Refer, &headers, None)?;
        if let Some(call) = self.call_of(session) {
            call.referring = Some(id);
        }
        self.pump(now);
        Ok(())
    }

    /// What another line may take up when this one is gone: calls that stand. Nothing is sent.
    pub fn leave(&self) -> Vec<Left> {
        let standing = self.calls.iter().filter(|call| call.phase == Phase::Up);
        let left = standing.filter_map(|call| {
            Some(Left {
                call: call.name.clone(),
                replaces: self.ua.dialog_name(call.session)?.to_string(),
                party: call.party.clone(),
                incoming: call.incoming,
            })
        });
        left.collect()
    }

    fn standing(&mut self, name: &str) -> Result<&mut Call, LineError> {
        let call = self.call(name)?;
        match call.phase {
            Phase::Up => Ok(call),
            _ => Err(LineError::NotNow),
        }
    }

    /// One that stands, and whose media no change is under way of.
    fn steady(&mut self, name: &str) -> Result<&mut Call, LineError> {
        let call = self.standing(name)?;
        match call.change {
            None => Ok(call),
            Some(_) => Err(LineError::NotNow),
        }
    }
}

/// Whom an address means: the user of a SIP URI, else what it says. Nothing where that is empty, or longer
/// than any number or name.
fn called(address: &str) -> Option<String> {
    let address = address.trim();
    let is_uri = ["sip:", "sips:"].iter().any(|scheme| {
        address
            .get(..scheme.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(scheme))
    });
    let user = match is_uri {
        true => Uri::parse(address).ok()?.user_name()?.into_owned(),
        false => address.to_owned(),
    };
    (!user.is_empty() && user.len() <= USER_MAX).then_some(user)
}

/// How long a key is said to be pressed.
const KEY_MS: u16 = 160;
/// The longest name or number, in bytes.
const USER_MAX: usize = 128;
