//! Transfers as control sees them: who may hand on whom, to whom, and how often.

use clock::Now;
use sip::message::{Message, Name, Uri};
use sip::ua::RequestId;

use super::attended::Other;
use super::refusal::Refusal;
use super::resolve::is_number;
use super::{Control, What};
use crate::call::{
    CallId, Destination, Handover, Label, LegId, News, NoTransfer, Party, Refer, Trouble,
};
use crate::center::{AgentConfig, Input};

impl Control {
    /// A REFER in the dialog of a leg (RFC 3515 §2.4): 202 and a transfer, or a refusal that says why.
    pub(super) fn on_refer(
        &mut self,
        now: Now,
        (call, leg): (CallId, LegId),
        id: RequestId,
        request: &Message,
    ) {
        match self.check_refer((call, leg), request) {
            Ok((refer, other)) => self.follow_refer(now, (call, leg), id, (refer, other)),
            Err(why) => {
                let target = request.header(Name::ReferTo).unwrap_or_default().to_owned();
                let status = why.status();
                let trouble = Trouble::Transfer { why, target };
                let quoted = trouble.explanation().sentence().replace(['"', '\\'], "'");
                let warning = ("Warning".to_owned(), format!("399 tandem \"{quoted}\""));
                self.ua.respond_in(now, id, status, &[warning], None);
                self.trouble(now, call, &Refusal::Call(Box::new(trouble)));
            }
        }
    }

    fn check_refer(
        &self,
        (call, leg): (CallId, LegId),
        request: &Message,
    ) -> Result<(Refer, Option<Other>), NoTransfer> {
        let refer = Refer::read(request).map_err(NoTransfer::Unclear)?;
        let slot = self.calls.get(&call).ok_or(NoTransfer::NotBridged)?;
        slot.call.may_transfer(leg)?;
        let limit = self.transfers_max;
        if slot.call.handovers().len() >= limit {
            return Err(NoTransfer::TooOften { limit });
        }
        let label = slot.call.label(leg).cloned().unwrap_or_default();
        self.check_party(&label)?;
        let replaces = refer.replaces.as_deref();
        let other = replaces.map(|name| self.other_call((call, leg), name));
        let other = other.transpose()?;
        Ok((refer, other))
    }

    /// Whether the configuration lets that party make transfers.
    pub(super) fn check_party(&self, label: &Label) -> Result<(), NoTransfer> {
        let trunk = label.trunk.as_deref().and_then(|it| self.trunks.trunk(it));
        let endpoint = label.endpoint.as_deref();
        let endpoint = endpoint.and_then(|it| self.trunks.endpoint(it));
        let barred = trunk.is_some_and(|it| !it.handling.refer)
            || endpoint.is_some_and(|it| !it.handling.refer);
        if barred {
            return Err(NoTransfer::Barred(label.clone()));
        }
        Ok(())
    }

    fn follow_refer(
        &mut self,
        now: Now,
        (call, leg): (CallId, LegId),
        id: RequestId,
        (refer, other): (Refer, Option<Other>),
    ) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let referred = slot.referred.entry(leg).or_insert(0_u32);
        *referred = referred.saturating_add(1);
        let news = match (refer.subscribes, *referred) {
            (false, _) => News::None,
            (true, 1) => News::Notify,
            (true, _) => News::NotifyOf(refer.number),
        };
        let silent = ("Refer-Sub".to_owned(), "false".to_owned());
        let headers: Vec<_> = (news == News::None).then_some(silent).into_iter().collect();
        self.ua.respond_in(now, id, 202, &headers, None);
        if let Some(other) = other {
            return self.attend(now, (call, leg), other, news);
        }
        let to = self.destination(call, refer.to);
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.transfer(now, leg, to, news);
        }
        self.dirty.push_back(call);
    }

    /// Whom a Refer-To means: an endpoint of ours, or a number for the trunk of one of the parties.
    fn destination(&self, call: CallId, uri: String) -> Destination {
        let user = Uri::parse(&uri)
            .ok()
            .and_then(|uri| uri.user_name().map(|user| user.into_owned()));
        let Some(user) = user else {
            return Destination::Uri(uri);
        };
        if self.trunks.endpoint(&user).is_some() {
            return Destination::Endpoint(user);
        }
        let slot = self.calls.get(&call);
        let trunk = slot.and_then(|slot| slot.trunk.clone().or_else(|| slot.call.trunk_here()));
        match trunk {
            Some(trunk) if is_number(&user) => Destination::Trunk {
                trunk,
                number: user,
            },
            _ => Destination::Uri(uri),
        }
    }

    /// Somebody else is in the bridge: told, and agents follow. A caller who has left takes the plan
    /// along.
    pub(super) fn on_transferred(
        &mut self,
        now: Now,
        call: CallId,
        by: Party,
        handover: &Handover,
    ) {
        let what = What::Transferred {
            by: handover.by.clone(),
            to: handover.to.clone(),
            how: handover.how,
        };
        self.event(now, call, what);
        if by == Party::Caller
            && let Some(slot) = self.calls.get_mut(&call)
        {
            slot.run = None;
            slot.step = None;
        }
        self.release_absent(now, call);
        let endpoint = self.partner_of(call).endpoint;
        self.engage(now, call, Party::Callee, endpoint.as_deref());
    }

    /// Agents whose phone is in the call no more are free, as far as this call goes.
    pub(super) fn release_absent(&mut self, now: Now, call: CallId) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let here: Vec<&str> = slot.call.endpoints().collect();
        let endpoint = |id: &crate::center::AgentId| {
            let mut agents = self.agents.iter();
            let found = agents.find(|agent: &&AgentConfig| agent.id == *id);
            found.map(|agent| agent.endpoint.as_str())
        };
        let gone = |(_, agent): &mut (Party, crate::center::AgentId)| {
            endpoint(agent).is_none_or(|endpoint| !here.contains(&endpoint))
        };
        for (_, agent) in slot.engaged.extract_if(.., gone) {
            self.center.handle(now, Input::Released { agent });
        }
    }
}
