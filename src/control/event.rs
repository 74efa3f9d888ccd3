//! What happens to calls, told to whoever watches: the log, the demo's screen, later webhooks.

use std::net::IpAddr;
use std::time::Duration;

use clock::Now;
use sip::transport::Transport;
use voice::activity::Spurt;

use super::facts::RequestFacts;
use super::{MissedCall, Slot};
use crate::call::{CallId, Cause, Hearing, How, Party};
use crate::center::AgentState;
use crate::conference::Mode;
use crate::explain::Explanation;
use crate::trunk::{RegistrationState, Target, TargetState};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Now,
    /// To which call, if to one.
    pub call: Option<CallId>,
    /// What.
    pub what: What,
}

/// What happened. Per call the order is `Initiated (Answered …)? HungUp`.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A call came in.
    Initiated {
        /// The caller.
        from: String,
        /// The called.
        to: String,
    },
    /// A call was turned away before it became one.
    Refused {
        /// The SIP status; 0 for silence.
        status: u16,
        /// What was expected, what was found, and the nearest fix.
        why: Explanation,
        /// The request, where there was one that could be read.
        request: Option<Box<RequestFacts>>,
    },
    /// Credentials came that were not good; `banned` if they were one time too many.
    AuthFailed {
        /// From where.
        source: IpAddr,
        /// By which transport.
        transport: Transport,
        /// Whether the sender is known to be there: a datagram may be forged.
        is_proven: bool,
        /// Who he says he is.
        user: String,
        /// What he wanted.
        method: String,
        /// For how long his source is not heard.
        banned: Option<Duration>,
    },
    /// We answered the caller.
    Answered,
    /// The plan entered a step.
    Step {
        /// The flow.
        flow: String,
        /// The step's verb.
        step: &'static str,
    },
    /// The caller pressed a key.
    Digit(char),
    /// The call waits in a queue.
    Queued {
        /// Which.
        queue: String,
    },
    /// The caller hears a conference.
    Conferring {
        /// Its name.
        name: String,
    },
    /// An agent is rung for the call.
    Offered {
        /// Who.
        agent: String,
    },
    /// Caller and callee hear each other.
    Bridged {
        /// Who answered.
        with: String,
    },
    /// One party handed the other on, or was replaced.
    Transferred {
        /// Who left.
        by: String,
        /// Who came.
        to: String,
        /// By which means.
        how: How,
    },
    /// A target of a trunk had no use for the call; it is offered to another.
    Rerouted {
        /// By which trunk.
        trunk: String,
        /// From which target.
        from: Target,
        /// To which.
        to: Target,
        /// Why.
        why: String,
    },
    /// Our registration with a carrier.
    Registration {
        /// By which trunk.
        trunk: String,
        /// Where it stands now.
        state: RegistrationState,
        /// Why.
        why: String,
    },
    /// A target of a trunk is up, down or draining.
    Target {
        /// Of which trunk.
        trunk: String,
        /// Which.
        target: Target,
        /// What it is now.
        state: TargetState,
        /// Why.
        why: String,
    },
    /// A recording began.
    Recording {
        /// Its file.
        file: String,
    },
    /// One party is not heard any more although it should be, or is again.
    Hearing {
        /// Who.
        who: String,
        /// What is heard.
        is: Hearing,
    },
    /// A party began or ceased to talk; told of legs with `talk_events`.
    Talk {
        /// Who.
        party: Party,
        /// What, with positions in samples at 16 kHz since its port opened.
        spurt: Spurt,
    },
    /// Who supervises the call, and who of it hears him.
    Supervision {
        /// The supervisor's call.
        by: CallId,
        /// How; none if he supervises it no more.
        is: Option<Mode>,
    },
    /// Something went wrong that the caller may notice.
    Trouble(Explanation),
    /// The call is over.
    HungUp {
        /// Why.
        cause: Cause,
    },
    /// A call rang at an agent in vain.
    Missed {
        /// Who.
        agent: String,
        /// What he has missed.
        missed: MissedCall,
    },
    /// An agent's state changed, or what follows it, or why.
    Agent {
        /// Who.
        agent: String,
        /// What he does now.
        state: AgentState,
    },
    /// Somebody calls an emergency number.
    Emergency {
        /// The caller.
        from: String,
        /// The number.
        to: String,
    },
    /// So much of a day's minutes or money is used.
    LimitNear(crate::trunk::Alarm),
    /// Control is behind: from now on new calls are refused.
    Overloaded {
        /// How long the oldest new call waits.
        delay: Duration,
    },
    /// Control is behind no more.
    Relieved {
        /// How long calls were refused.
        lasted: Duration,
        /// How many.
        refused: u64,
    },
    /// An endpoint's phone can be rung, or no longer.
    Reachable {
        /// The endpoint.
        endpoint: String,
        /// Whether.
        yes: bool,
    },
}

/// A live call as the API and the operator see it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSnapshot {
    /// Which.
    pub call: CallId,
    /// The caller.
    pub from: String,
    /// The called.
    pub to: String,
    /// How long since the INVITE.
    pub lasted: Duration,
    /// How long since the answer.
    pub answered: Option<Duration>,
    /// The queue it waits or waited in.
    pub queue: Option<String>,
    /// The agent who serves or served it.
    pub agent: Option<String>,
    /// The trunk it came by.
    pub trunk: Option<String>,
    /// Where its plan stands: flow and step.
    pub step: Option<String>,
    /// `ringing`, `answered`, `waiting`, `bridged` or `ending`.
    pub state: &'static str,
}

impl Slot {
    pub(super) fn snapshot(&self, now: Now) -> CallSnapshot {
        let (from, to) = self.call.parties();
        let (started, answered, _) = self.call.times();
        let state = if self.call.is_ending() {
            "ending"
        } else if self.call.is_bridged() {
            "bridged"
        } else if self.waiting.is_some() {
            "waiting"
        } else if answered.is_some() {
            "answered"
        } else {
            "ringing"
        };
        CallSnapshot {
            call: self.call.id(),
            from: from.to_owned(),
            to: to.to_owned(),
            lasted: now - started,
            answered: answered.map(|at| now - at),
            queue: self.queue.clone(),
            agent: self.agent.clone(),
            trunk: self.trunk.clone(),
            step: self.step.clone(),
            state,
        }
    }
}
