//! The boundary to control: what a client may ask, and what comes back as plain snapshots.
//!
//! A [`Command`] crosses a bounded channel and carries the way of its own reply. A full channel makes
//! the request wait, never control.

mod desk;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use media::file::seal::Key;
use tokio::sync::{mpsc, oneshot};

use super::ApiError;
use super::access::AccessCommand;
use crate::call::{CallId, Cause, Direction, Party, RecordAsk};
use crate::center::{AgentId, Obstacle, Snapshot, Wish};
use crate::conference::{Ask, Mode, NotDone, NotSupervised};
use crate::control::{
    GuardCounts, NotWished, Probe, Refused, Rehearsal, RoomSnapshot, TrunkSnapshot,
};
use crate::store::{EndpointRow, LegRow};
use crate::trunk::Ban;

pub use desk::DeskCommand;

/// The way of one reply; dropping it tells the client that the server is going down.
pub type Reply<T> = oneshot::Sender<T>;

/// What the API asks of control.
#[derive(Debug)]
pub enum Command {
    /// Every call in progress.
    Calls {
        /// By age, oldest first.
        reply: Reply<Vec<CallSnapshot>>,
    },
    /// One call in progress.
    Call {
        /// Which.
        call: CallId,
        /// `None` if there is no such call now.
        reply: Reply<Option<CallSnapshot>>,
    },
    /// End a call.
    Hangup {
        /// Which.
        call: CallId,
        /// The cause that both sides are told.
        cause: Cause,
        /// Whether there was such a call.
        reply: Reply<bool>,
    },
    /// Start or change a call's recording.
    Record {
        /// Which call.
        call: CallId,
        /// What.
        ask: RecordAsk,
        /// A key of its own.
        key: Option<Key>,
        /// Whether there was such a call.
        reply: Reply<bool>,
    },
    /// Keep a call's packets of sound from now on.
    Capture {
        /// Which.
        call: CallId,
        /// Whether there was such a call.
        reply: Reply<bool>,
    },
    /// Keep the packets of the next call from somebody.
    CaptureNext {
        /// The caller.
        from: String,
        /// Done.
        reply: Reply<()>,
    },
    /// The queues and the agents.
    Center {
        /// All of them.
        reply: Reply<Snapshot>,
    },
    /// An agent wants calls, or none.
    SetAgent {
        /// Who.
        agent: AgentId,
        /// What.
        wish: Wish,
        /// Why, in a word of the operator's.
        reason: Option<String>,
        /// Whether he is, or will be once his call is over.
        reply: Reply<Result<(), NotWished>>,
    },
    /// What a desk asks.
    Desk(DeskCommand),
    /// The conferences that have a member.
    Conferences {
        /// By name.
        reply: Reply<Vec<RoomSnapshot>>,
    },
    /// One conference.
    Conference {
        /// Its name.
        name: String,
        /// `None` if it has no member.
        reply: Reply<Option<RoomSnapshot>>,
    },
    /// Ask something of a conference.
    AskConference {
        /// Its name.
        name: String,
        /// What.
        ask: Box<Ask>,
        /// Whether it is done.
        reply: Reply<Result<(), NotDone>>,
    },
    /// Have a supervisor hear a call, or be heard in it otherwise.
    Supervise {
        /// The call, and the supervisor's.
        calls: (CallId, CallId),
        /// Who of the call hears him.
        mode: Mode,
        /// Whether it is done.
        reply: Reply<Result<(), NotSupervised>>,
    },
    /// Have a call supervised no more.
    Dismiss {
        /// Which.
        call: CallId,
        /// Whether it was.
        reply: Reply<bool>,
    },
    /// Mute one party of a call, or let it be heard again.
    Mute {
        /// Which call.
        call: CallId,
        /// Whom.
        party: Party,
        /// Whether nobody hears it.
        on: bool,
        /// Whether there is such a party.
        reply: Reply<bool>,
    },
    /// The endpoints, configured and made at run time.
    Endpoints {
        /// By name.
        reply: Reply<Vec<EndpointSnapshot>>,
    },
    /// Admit an endpoint; the caller then stores the row, or takes the endpoint back.
    AddEndpoint {
        /// What is known of it.
        new: NewEndpoint,
        /// The row to store.
        reply: Reply<Result<EndpointRow, EndpointRefused>>,
    },
    /// Forget an endpoint made at run time, with its registrations.
    RemoveEndpoint {
        /// Its name.
        name: String,
        /// Refused if it is configured in the file.
        reply: Reply<Result<(), EndpointRefused>>,
    },
    /// The trunks with their targets and our registrations.
    Trunks {
        /// By name.
        reply: Reply<Vec<TrunkSnapshot>>,
    },
    /// Send an OPTIONS to each target of a trunk.
    PingTrunk {
        /// Its name.
        name: String,
        /// Whether there is such a trunk.
        reply: Reply<bool>,
    },
    /// The sources that are banned.
    Bans {
        /// The longest yet to last first.
        reply: Reply<Vec<Ban>>,
    },
    /// Hear a banned source again.
    LiftBan {
        /// Which.
        source: IpAddr,
        /// Whether it was banned.
        reply: Reply<bool>,
    },
    /// Who proves himself otherwise than by SIP's digest.
    Access(AccessCommand),
    /// Read the dialplans and the configuration again; live calls keep their plan.
    Reload {
        /// What was read, or every mistake found: then nothing has changed.
        reply: Reply<Result<Reloaded, Vec<String>>>,
    },
    /// What would become of a call.
    Explain {
        /// Which.
        probe: Box<Probe>,
        /// The way that it takes, and where it ends.
        reply: Reply<Rehearsal>,
    },
    /// What was refused lately.
    Refusals {
        /// In which call, by our id or the SIP Call-ID.
        call: Option<String>,
        /// By which id.
        id: Option<String>,
        /// How many at most.
        limit: usize,
        /// Each with how long ago.
        reply: Reply<Vec<(Duration, Refused)>>,
    },
    /// How full every table is.
    Counts {
        /// All of them.
        reply: Reply<Counts>,
    },
}

/// One call at one moment. Times are spans up to now.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSnapshot {
    /// Which call.
    pub call: CallId,
    /// Who began it.
    pub direction: Direction,
    /// The caller's number or user.
    pub from: String,
    /// The number or user called.
    pub to: String,
    /// The trunk it came by.
    pub trunk: Option<String>,
    /// What happens to it.
    pub state: CallState,
    /// Since its INVITE.
    pub age: Duration,
    /// Since its answer.
    pub answered: Option<Duration>,
    /// The queue it waits in or came from.
    pub queue: Option<String>,
    /// The agent who serves it.
    pub agent: Option<String>,
    /// The dialplan's node that it stands at.
    pub step: Option<String>,
    /// Why nobody of its queue serves it yet; empty unless it waits.
    pub waits_for: Vec<WaitsFor>,
    /// Its supervisor's call, and who hears him.
    pub supervision: Option<(CallId, Mode)>,
    /// Who of its parties is muted.
    pub muted: Vec<Party>,
    /// How the media of its legs fares, where one call is asked for.
    pub legs: Option<Vec<LegRow>>,
}

/// What keeps one agent from a call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// Who.
    pub agent: AgentId,
    /// What.
    pub obstacle: Obstacle,
    /// How long it lasts yet, where that is known.
    pub left: Option<Duration>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Not yet answered.
    Ringing,
    /// Answered, and a dialplan speaks with it.
    Answered,
    /// Waits in a queue.
    Queued,
    /// Two parties hear each other.
    Bridged,
}

/// One endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSnapshot {
    /// Its name.
    pub name: String,
    /// Whether it stands in the configuration file.
    pub configured: bool,
    /// Where it is registered now: the Contact's URI, the address it came from, how long it holds.
    pub contacts: Vec<(String, SocketAddr, Duration)>,
}

/// An endpoint that somebody wants to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// The user part that registers and is dialled.
    pub name: String,
    /// Its password, hashed at once and then forgotten.
    pub password: crate::config::Secret,
    /// The number that its calls show.
    pub caller_id: Option<String>,
    /// Now, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}

/// Why an endpoint is not made or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointRefused {
    /// The name stands in the configuration file.
    Configured,
    /// The name is in use by an endpoint made at run time.
    Taken,
    /// There is no such endpoint.
    Unknown,
    /// The name cannot be the user part of a SIP URI.
    BadName,
}

/// What a reload read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Dialplan files.
    pub files: usize,
    /// Entries in them.
    pub entries: usize,
    /// Queues in them.
    pub queues: usize,
}

/// How full every table is: back to the start when all calls are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls in progress.
    pub calls: usize,
    /// SIP transactions not yet terminated.
    pub transactions: usize,
    /// SIP dialogs.
    pub dialogs: usize,
    /// Media ports open or reserved.
    pub ports: usize,
    /// Contacts registered.
    pub registrations: usize,
    /// Whether new calls are refused because the server is going down.
    pub draining: bool,
    /// Calls that each trunk has, both ways.
    pub trunks: Vec<(String, u32)>,
    /// Calls that each trunk may have, of those that have a bound.
    pub trunk_caps: Vec<(String, u32)>,
    /// The states of each trunk's targets and of our registration with it.
    pub trunk_states: Vec<crate::control::TrunkStates>,
    /// What the SIP machine has done since the start.
    pub sip: SipCounts,
    /// How far control is behind, and what it has refused for that.
    pub overload: crate::control::OverloadCounts,
    /// What the transports have done, by name; all but `connections` only grow.
    pub net: Vec<(&'static str, u64)>,
    /// What was turned away for what its sender did.
    pub guard: GuardCounts,
    /// Where datagrams come in.
    pub udp: Vec<SocketAddr>,
}

/// What the SIP machine has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipCounts {
    /// Messages that could not be parsed.
    pub malformed: u64,
    /// Well-formed messages that belong to nothing.
    pub strays: u64,
    /// Requests turned away because a table was full.
    pub refused_full: u64,
    /// Requests that repeated an earlier one.
    pub retransmissions: u64,
    /// Answered transactions forgotten before their time, to make room.
    pub forgotten: u64,
}

/// The sending end of the way to control. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    sender: mpsc::Sender<Command>,
    patience: Duration,
}

impl Control {
    /// A way with room for [`COMMAND_CAPACITY`] commands, and its receiving end.
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel(COMMAND_CAPACITY);
        (
            Self {
                sender,
                patience: PATIENCE,
            },
            receiver,
        )
    }

    /// Sends what `command` makes and waits for its reply.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if control does not reply in time or is gone.
    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.sender.send(command(reply)).await.ok()?;
            answer.await.ok()
        };
        let answered = tokio::time::timeout(self.patience, exchange).await;
        answered
            .ok()
            .flatten()
            .ok_or(ApiError::Unavailable { what: "control" })
    }
}

/// Commands on their way to control; more wait on their own connections.
pub const COMMAND_CAPACITY: usize = 64;

/// How long a client waits for control, which answers within a turn of its loop unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
