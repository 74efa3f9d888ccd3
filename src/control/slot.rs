//! One call as control keeps it: the call itself, its plan's run, and what ties it to sessions, trunks,
//! queues and agents.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sip::ua::SessionId;

use super::emergency;
use super::hunting::Dialled;
use super::recording::CallRecordings;
use super::waiting::Waiting;
use crate::call::{Call, Few, LegId, Party};
use crate::center;
use crate::dialplan::{ConferenceRequest, Run};
use crate::explain::Explanation;
use crate::trunk::{Admitted, Identity};

/// One call and what drives it.
pub(super) struct Slot {
    pub(super) call: Call,
    pub(super) run: Option<Run>,
    pub(super) waiting: Option<Waiting>,
    pub(super) sessions: Few<LegId, SessionId>,
    /// What its legs take of their trunks' caps.
    pub(super) admitted: Few<LegId, Admitted>,
    /// The same of trunk legs whose INVITE is not out yet, in order.
    pub(super) dialled: VecDeque<Box<Dialled>>,
    /// The trunk it came by.
    pub(super) trunk: Option<String>,
    pub(super) queue: Option<String>,
    /// The room that it wants into.
    pub(super) confers: Option<ConferenceRequest>,
    pub(super) agent: Option<String>,
    pub(super) waited: Duration,
    /// Where its plan stands.
    pub(super) step: Option<String>,
    /// Where its plan has led it, for agents.
    pub(super) path: VecDeque<String>,
    /// What last went wrong, unless somebody was reached since.
    pub(super) trouble: Option<Explanation>,
    /// How many REFERs of each leg were taken.
    pub(super) referred: BTreeMap<LegId, u32>,
    pub(super) recordings: CallRecordings,
    /// Agents who are in it without a queue's doing.
    pub(super) engaged: Vec<(Party, center::AgentId)>,
    /// Who calls.
    pub(super) identity: Identity,
    /// Max-Forwards of its INVITE.
    pub(super) hops: u8,
    /// How often it has come back to us.
    pub(super) turns: u8,
    /// The trunks that an emergency call may yet go by.
    pub(super) rescue: Option<emergency::Rescue>,
    /// The status of the limit that bars what is being dialled.
    pub(super) barred: Option<u16>,
}

impl Slot {
    pub(super) fn new(call: Call, run: Option<Run>, session: SessionId) -> Self {
        let trunk = call
            .label(LegId::CALLER)
            .and_then(|label| label.trunk.clone());
        let mut sessions = Few::new();
        sessions.insert(LegId::CALLER, session);
        Self {
            call,
            run,
            rescue: None,
            waiting: None,
            sessions,
            admitted: Few::new(),
            dialled: VecDeque::new(),
            trunk,
            queue: None,
            confers: None,
            agent: None,
            waited: Duration::ZERO,
            step: None,
            path: VecDeque::new(),
            trouble: None,
            referred: BTreeMap::new(),
            recordings: CallRecordings::default(),
            engaged: Vec::new(),
            identity: Identity::default(),
            hops: 0,
            turns: 0,
            barred: None,
        }
    }
}
