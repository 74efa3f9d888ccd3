//! What a run is told, what it asks for, and how far it is.

use std::time::Duration;

use jiff::Timestamp;

use super::super::plan::{Exit, NodeId};
use super::super::trouble::Trouble;
use crate::call::{Action, Notice, Party};
use crate::conference::{Away, Terms};

/// What is known of a call when it enters the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// The caller's number or name, normalised.
    pub from: String,
    /// The number called, normalised.
    pub to: String,
    /// The trunk it came by; none for a call of our own endpoint.
    pub trunk: Option<String>,
    /// The wall time of [`RunInput::Start`].
    pub at: Timestamp,
}

/// A wish to wait in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRequest {
    /// The queue's name.
    pub queue: String,
    /// Higher is served first; 0 is usual.
    pub priority: i32,
    /// The longest wait; the queue's own if none.
    pub max_wait: Option<Duration>,
}

/// Why a call left a queue without an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftWhy {
    /// It waited as long as it may.
    MaxWait,
    /// The queue had no place.
    Full,
    /// Nobody serves the queue.
    NoAgents,
    /// Somebody took it out, or the queue is gone.
    Removed,
}

/// What a queue tells of a call that waits in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueNotice {
    /// It waits; 1 is next.
    Joined {
        /// Its place.
        position: usize,
    },
    /// Its place has changed, or is told again.
    Position(usize),
    /// An agent is rung for it.
    Offered,
    /// An agent answered, and both hear each other.
    Bridged {
        /// Who.
        agent: String,
    },
    /// It left without an agent.
    Left {
        /// Why.
        why: LeftWhy,
    },
    /// It was served, and the bridge ended.
    Completed {
        /// Who hung up.
        by: Party,
    },
}

/// A wish to be in a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceRequest {
    /// The room's name.
    pub name: String,
    /// On what terms.
    pub terms: Terms,
}

/// What a conference tells of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConferenceNotice {
    /// It hears the room.
    Entered,
    /// It is not let in, or was put out.
    Away(Away),
}

/// What a run is told.
#[derive(Clone, Debug, PartialEq)]
pub enum RunInput {
    /// Begin. First input of every run.
    Start,
    /// The call tells something.
    Notice(Notice),
    /// The queue tells something.
    Queue(QueueNotice),
    /// The conference tells something.
    Conference(ConferenceNotice),
    /// [`Run::deadline`] is reached.
    Deadline,
}

/// What a run asks and tells.
#[derive(Clone, Debug, PartialEq)]
pub enum RunOutput {
    /// Ask the call for this.
    Do(Action),
    /// Put the call into this queue; answered by [`QueueNotice`]s until it left or was served.
    Join(QueueRequest),
    /// Take the call out of its queue: the caller is gone, or chose to go by a key.
    Leave,
    /// Bring the call into this conference; answered by [`ConferenceNotice`]s.
    Confer(ConferenceRequest),
    /// Take the call out of its conference, as [`RunOutput::Leave`] does of a queue.
    LeaveConference,
    /// A step was entered, or the flow left.
    Step(Trace),
    /// Something did not work and the walk went on; for the log.
    Trouble {
        /// At which step.
        node: NodeId,
        /// What.
        why: Trouble,
    },
    /// The run is over; nothing more will come.
    Finished,
}

/// One transition of the walk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trace {
    /// The step that was left and by which exit; none at the start.
    pub from: Option<(NodeId, Exit)>,
    /// The step entered; none at the end of a flow.
    pub to: Option<NodeId>,
}

/// What a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Its start.
    New,
    /// The answer of the call.
    Answering,
    /// The end of what is heard.
    Speaking,
    /// Keys.
    Listening,
    /// The queue.
    Queued,
    /// The dialled party.
    Dialling,
    /// The end of a conference.
    Conferring,
    /// Nothing: it is over.
    Ended,
}
