//! The faces' tests: what they test at the near end of a pipe, a SIP machine that does what control does at the
//! far end, and the messages between them.

use std::fmt;

use bytes::Bytes;
use clock::{Duration, Now};
use sip::message::{Message, Method};
use sip::transport::{ConnectionId, Flow, ListenerId, Transport};
use sip::ua::{self, Invite, Reliable, RequestId, SessionId, UserAgent, UserAgentConfig};

/// What a client describes, and what the far end does.
pub(super) const OURS: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";
pub(super) const THEIRS: &str =
    "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 7 RTP/AVP 0\r\n";

/// What stands at the near end.
pub(super) trait Near {
    /// What it tells those behind it.
    type Told: fmt::Debug;

    /// The next thing that it sends or tells; what else it wants it keeps for the test to look at.
    fn next(&mut self) -> Option<Sent<Self::Told>>;

    fn sip(&mut self, now: Now, bytes: Bytes);

    fn timeout(&mut self, now: Now);
}

/// Which way a thing goes.
pub(super) enum Sent<T> {
    ToControl(Bytes),
    Told(T),
}

/// Both ends of the pipe.
pub(super) struct Rig<N: Near> {
    pub(super) now: Now,
    pub(super) near: N,
    pub(super) far: UserAgent,
    /// What the near end has told, and the far end heard, since somebody looked.
    pub(super) told: Vec<N::Told>,
    pub(super) heard: Vec<ua::Event>,
}

impl<N: Near> Rig<N> {
    pub(super) fn around(near: N) -> Self {
        let listener = ua::Listener {
            id: ListenerId(0),
            transport: Transport::Ws,
            advertised_host: "127.0.0.1".to_owned(),
            advertised_port: 80,
        };
        Self {
            now: Now::ZERO,
            near,
            far: UserAgent::new(UserAgentConfig::new(vec![listener], "control"), 12),
            told: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Carries messages until both are quiet.
    pub(super) fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(sent) = self.near.next() {
                quiet = false;
                match sent {
                    Sent::ToControl(bytes) => self.far.receive(self.now, flow(), bytes, true),
                    Sent::Told(told) => self.told.push(told),
                }
            }
            while let Some(output) = self.far.poll_output() {
                quiet = false;
                match output {
                    ua::Output::Transmit { bytes, .. } => self.near.sip(self.now, bytes),
                    ua::Output::Event(event) => self.heard.push(event),
                }
            }
            if quiet {
                return;
            }
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.near.timeout(self.now);
        self.far.handle_timeout(self.now);
        self.run();
    }

    pub(super) fn told(&mut self) -> Vec<N::Told> {
        self.run();
        std::mem::take(&mut self.told)
    }

    /// The one thing that was told.
    pub(super) fn one(&mut self) -> N::Told {
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    pub(super) fn heard(&mut self) -> Vec<ua::Event> {
        self.run();
        std::mem::take(&mut self.heard)
    }

    fn first_heard(&mut self) -> Option<ua::Event> {
        self.heard().into_iter().next()
    }

    /// The request that came outside a dialog.
    pub(super) fn requested(&mut self) -> (RequestId, Message) {
        match self.first_heard() {
            Some(ua::Event::Requested {
                request_id,
                request,
                ..
            }) => (request_id, request),
            other => panic!("{other:?}"),
        }
    }

    /// The request that came within a dialog.
    pub(super) fn requested_within(&mut self) -> (RequestId, Message) {
        match self.first_heard() {
            Some(ua::Event::InDialog {
                request_id,
                request,
                ..
            }) => (request_id, request),
            other => panic!("{other:?}"),
        }
    }

    /// The call that came, and its INVITE.
    pub(super) fn invited(&mut self) -> (SessionId, Message) {
        match self.first_heard() {
            Some(ua::Event::Invited {
                session, request, ..
            }) => (session, request),
            other => panic!("{other:?}"),
        }
    }

    /// The far end's answer to the REGISTER that came.
    pub(super) fn registered(&mut self, status: u16) {
        let (id, register) = self.requested();
        assert_eq!(register.method(), Some(Method::Register));
        self.far.respond(self.now, id, status, &[], None);
        self.run();
    }

    /// The far end answers a call, or takes one up, and says what its name is there.
    pub(super) fn accept(&mut self, session: SessionId, id: &str) {
        let named = [("X-Tandem-Call".to_owned(), id.to_owned())];
        let sdp = Bytes::from_static(THEIRS.as_bytes());
        self.far.accept(self.now, session, Some(sdp), &named);
        self.run();
    }

    /// The far end says how a call that was handed on goes.
    pub(super) fn notify(&mut self, session: SessionId, status: u16, last: bool) {
        let state = if last { "terminated" } else { "active" };
        let headers = [
            ("Event".to_owned(), "refer".to_owned()),
            ("Subscription-State".to_owned(), state.to_owned()),
        ];
        let line = format!("SIP/2.0 {status} {}\r\n", ua::phrase(status));
        let body = Some(("message/sipfrag".to_owned(), line.into()));
        self.far
            .request_in(self.now, session, Method::Notify, &headers, body)
            .unwrap();
    }
}

/// A call to `user` with those headers.
pub(super) fn call_to(user: &str, headers: &[(&str, &str)]) -> Invite {
    let header = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Invite {
        request_uri: format!("sip:{user}@x.invalid"),
        flow: flow(),
        from: "\"Bob B.\" <sip:+4930123@tandem.example>".to_owned(),
        to: format!("<sip:{user}@tandem.example>"),
        contact_user: "tandem".to_owned(),
        headers: headers.iter().map(header).collect(),
        offer: Some(Bytes::from_static(THEIRS.as_bytes())),
        credentials: None,
        max_forwards: 70,
        reliable: Reliable::Supported,
        timers: None,
    }
}

/// Messages come and go on one connection.
fn flow() -> Flow {
    Flow {
        transport: Transport::Ws,
        listener: ListenerId(0),
        remote: ([127, 0, 0, 1], 9).into(),
        connection: Some(ConnectionId(5)),
        peer: None,
    }
}
