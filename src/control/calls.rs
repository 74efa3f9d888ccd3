//! One call's outputs, carried to SIP, to the media worker, to its plan and to its queue.

use clock::Now;
use media::worker::{PortCommand, PortEvent};
use sip::message::Method;
use sip::ua::Ending;

use super::hunting::{NAMES_WAIT, Pending, route_by};
use super::placing::is_page;
use super::waiting::Waiting;
use super::{Control, Output, Refusal, Slot, What};
use crate::call::{
    self, Action, CallId, Cause, Cdr, DialResult, Label, LegId, Notice, Party, SipCommand,
};
use crate::center::{AgentConfig, AgentId, Input};
use crate::dialplan::{QueueNotice, QueueRequest, Run, RunInput, RunOutput};
use crate::explain::Explanation;
use crate::trunk::HeaderRule;

impl Control {
    /// Asks something of a call; `false` if there is none.
    pub(super) fn ask(&mut self, now: Now, call: CallId, action: Action) -> bool {
        let Some(slot) = self.calls.get_mut(&call) else {
            return false;
        };
        let masked = slot.call.masks_keys();
        slot.call.ask(now, action);
        let masks = slot.call.masks_keys();
        self.dirty.push_back(call);
        if masks != masked {
            self.note_masks(now, call, masks);
        }
        true
    }

    /// Tells the call's plan something.
    pub(super) fn tell_run(&mut self, now: Now, call: CallId, input: RunInput) {
        if let Some(run) = self.calls.get_mut(&call).and_then(|slot| slot.run.as_mut()) {
            run.handle(now, input);
            self.dirty.push_back(call);
        }
    }

    /// Drains a call and its plan until both are quiet.
    pub(super) fn drive(&mut self, now: Now, call: CallId) {
        while let Some(slot) = self.calls.get_mut(&call) {
            if let Some(output) = slot.call.poll_output() {
                self.on_call(now, call, output);
            } else if let Some(output) = slot.run.as_mut().and_then(|run| run.poll_output()) {
                self.on_run(now, call, output);
            } else {
                let run = slot.run.as_ref().and_then(|run| run.deadline());
                let next = slot.call.deadline().into_iter().chain(run).min();
                self.agenda.set(call, next);
                return self.look_after_watch(call);
            }
        }
    }

    fn on_call(&mut self, now: Now, call: CallId, output: call::Output) {
        match output {
            call::Output::Sip(leg, command) => self.on_sip_command(now, call, leg, command),
            call::Output::Invite(leg, invite) => self.on_invite(now, call, leg, *invite),
            call::Output::Port(command) => self.on_port_command(now, call, command),
            call::Output::Meet { port, peer } => self.on_meeting(now, call, port, peer),
            call::Output::Release(port) => {
                let Some(slot) = self.calls.get(&call) else {
                    return;
                };
                let worker = slot.call.worker();
                self.ports.remove(&(worker, port));
                self.media.release(worker, port);
            }
            call::Output::Resolve {
                token,
                to,
                caller_id,
            } => {
                let until = now + NAMES_WAIT;
                let pending = Pending {
                    call,
                    token,
                    to,
                    caller_id,
                    until,
                };
                self.on_resolve(now, pending);
            }
            call::Output::Moved { leg, ready } => self.on_moved(now, call, leg, ready),
            call::Output::LoadClips(request) => {
                self.note_wanted(now, call, &request);
                self.outputs.push_back(Output::LoadClips { call, request });
            }
            call::Output::Record { frames, rate } => self.on_record(now, call, (frames, rate)),
            call::Output::RecordEnded => self.outputs.push_back(Output::RecordEnded { call }),
            call::Output::Listen(listening) => {
                self.outputs.push_back(Output::Listen { call, listening });
            }
            call::Output::Tell(notice) => self.on_notice(now, call, notice),
            call::Output::Hearing { who, is } => self.event(now, call, What::Hearing { who, is }),
            call::Output::Trouble(trouble) => {
                self.trouble(now, call, &Refusal::Call(trouble));
            }
            call::Output::Finished(cdr) => self.on_finished(now, call, *cdr),
        }
    }

    fn on_sip_command(&mut self, now: Now, call: CallId, leg: LegId, command: SipCommand) {
        let session = self
            .calls
            .get(&call)
            .and_then(|slot| slot.sessions.get(&leg))
            .copied();
        let Some(session) = session else { return };
        match command {
            SipCommand::Progress { status, body } => self.ua.progress(now, session, status, body),
            SipCommand::Accept(body) => {
                let named = self.names_call(call, leg);
                self.ua.accept(now, session, body, named.as_slice());
            }
            SipCommand::End(_) if self.unpause(now, session) => {}
            SipCommand::End(cause) => {
                let mut ending = ending(cause);
                if leg == LegId::CALLER {
                    ending.headers.extend(self.explain_call(call, cause));
                }
                self.ua.end(now, session, ending);
            }
            SipCommand::Acknowledge(body) => self.ua.acknowledge(now, session, body),
            SipCommand::Reoffer(body) => self.ua.reinvite(now, session, Some(body)),
            SipCommand::AnswerOffer(body) => self.ua.answer_offer(now, session, body),
            SipCommand::RefuseOffer(status) => self.ua.refuse_offer(now, session, status),
            SipCommand::Key { digit, duration_ms } => {
                self.send_info(now, (call, leg, session), (digit, duration_ms));
            }
            SipCommand::Respond(request, status) => {
                self.ua.respond_in(now, request, status, &[], None);
            }
            SipCommand::NotifyTransfer { status, last, id } => {
                let state = if last {
                    "terminated;reason=noresource"
                } else {
                    "active;expires=60"
                };
                let of = id.map_or_else(|| "refer".to_owned(), |id| format!("refer;id={id}"));
                let headers = [
                    ("Event".to_owned(), of),
                    ("Subscription-State".to_owned(), state.to_owned()),
                ];
                let line = format!("SIP/2.0 {status} {}\r\n", sip::ua::phrase(status));
                let body = ("message/sipfrag;version=2.0".to_owned(), line.into());
                // A peer that takes no NOTIFY is still transferred.
                let _ = self
                    .ua
                    .request_in(now, session, Method::Notify, &headers, Some(body));
            }
        }
    }

    fn on_invite(&mut self, now: Now, call: CallId, leg: LegId, invite: sip::ua::Invite) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let by_trunk = slot
            .call
            .label(leg)
            .is_some_and(|label| label.trunk.is_some());
        let dialled = if by_trunk {
            slot.dialled.pop_front()
        } else {
            None
        };
        let remote = invite.flow.remote;
        let mut invite = invite;
        if is_page(invite.flow) {
            invite.headers.push(named(call));
        }
        if let Some(dialled) = &dialled {
            route_by(&mut invite, &dialled.hunt.current);
            if let Some(trunk) = self.trunks.trunk(&dialled.trunk) {
                HeaderRule::apply(&trunk.headers, &mut invite.headers);
            }
        }
        match self.ua.invite(now, invite.clone()) {
            Ok(session) => {
                self.sessions.insert(session, (call, leg));
                slot.sessions.insert(leg, session);
                if let Some(dialled) = dialled {
                    slot.admitted.insert(leg, dialled.admitted);
                    let of = (dialled.hunt, dialled.trunk, dialled.user);
                    self.hunt(now, session, (call, leg), of, invite);
                }
                self.note_leg(now, (call, leg), session, remote);
            }
            Err(why) => {
                slot.call.invite_failed(now, leg);
                if let Some(dialled) = dialled {
                    self.trunks.release(now, dialled.admitted);
                }
                self.trouble(now, call, &Refusal::NoInvite(why));
            }
        }
    }

    /// The call's name for whoever is on a browser's leg: he may ask the API about it.
    fn names_call(&self, call: CallId, leg: LegId) -> Option<(String, String)> {
        let slot = self.calls.get(&call);
        let is_web = slot.is_some_and(|slot| slot.call.is_web(leg));
        is_web.then(|| named(call))
    }

    fn on_port_command(&mut self, now: Now, call: CallId, command: PortCommand) {
        let noted = self.noted(call, &command);
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let (worker, port) = (slot.call.worker(), command.port());
        let opens = matches!(command, PortCommand::Open(_));
        let closes = matches!(command, PortCommand::Close { .. });
        if self.media.command(worker, command).is_err() {
            // The worker is far behind: its ring holds thousands of commands. A port that it never
            // heard of goes back as it was reserved.
            if opens {
                self.ports.remove(&(worker, port));
                self.media.release(worker, port);
            }
            if opens || closes {
                slot.call.on_media(
                    now,
                    PortEvent::Closed {
                        port,
                        stats: Default::default(),
                    },
                );
            }
            slot.call.ask(now, Action::Hangup(Cause::Congestion));
            self.trouble(now, call, &Refusal::MediaBehind);
            return;
        }
        self.note_command(now, call, port, noted);
        if opens {
            self.note_open(now, call, worker, port);
        }
    }

    pub(super) fn on_media(&mut self, now: Now, worker: u8, event: PortEvent) {
        let (port, closed) = match &event {
            PortEvent::Closed { port, .. } => (*port, true),
            PortEvent::Digit { port, .. }
            | PortEvent::Played { port, .. }
            | PortEvent::FirstPacket { port, .. }
            | PortEvent::NoMedia { port, .. }
            | PortEvent::MediaBack { port, .. }
            | PortEvent::NoReports { port, .. }
            | PortEvent::Lost { port, .. }
            | PortEvent::Stats { port, .. }
            | PortEvent::Refused { port, .. } => (*port, false),
            // Dropped here, where dropping is allowed.
            PortEvent::Departed { .. } | PortEvent::Garbage(_) => return,
        };
        let call = if closed {
            self.ports.remove(&(worker, port))
        } else {
            self.ports.get(&(worker, port)).copied()
        };
        let Some(call) = call else { return };
        self.note_event(now, worker, call, &event);
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.call.on_media(now, event);
            self.dirty.push_back(call);
        }
        if closed {
            self.confer_if_ready(now, call);
        }
    }

    fn on_notice(&mut self, now: Now, call: CallId, notice: Notice) {
        self.on_rescue(now, call, &notice);
        match &notice {
            Notice::Answered => self.event(now, call, What::Answered),
            Notice::Digit { digit, .. } => {
                let shown = self.key_shown(call, *digit);
                self.event(now, call, What::Digit(shown));
            }
            Notice::Bridged(token) => {
                let Label {
                    address, endpoint, ..
                } = self.partner_of(call);
                if let Some(slot) = self.calls.get_mut(&call) {
                    slot.trouble = None;
                }
                self.event(now, call, What::Bridged { with: address });
                if !Waiting::owns_dial(*token) {
                    self.engage(now, call, Party::Callee, endpoint.as_deref());
                }
            }
            Notice::CallerReplaced(handover) => {
                self.on_caller_replaced(now, call, handover);
                self.rooms.machine.say_again(call);
                self.supervisions.say_again(call);
            }
            Notice::CallerGone(_) => self.rooms.machine.leave(call),
            Notice::Transferred { by, handover, .. } => {
                self.on_transferred(now, call, *by, handover);
                self.supervisions.say_again(call);
            }
            Notice::DialEnded {
                result: DialResult::Completed(_),
                ..
            } => self.disengage(now, call, Some(Party::Callee)),
            _ => {}
        }
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        if let Some(waiting) = &mut slot.waiting {
            let steps = match notice {
                Notice::CallerGone(_) => waiting.leave(),
                _ => waiting.on_notice(&notice),
            };
            self.take_steps(now, call, steps);
        }
        let theirs = match &notice {
            Notice::Played { play, .. } | Notice::PlayFailed { play, .. } => {
                !Waiting::owns_play(*play)
            }
            Notice::CallerReplaced(_) => false,
            Notice::Bridged(token) | Notice::Transferred { token, .. } => {
                !Waiting::owns_dial(*token)
            }
            Notice::DialEnded { token, result } if Waiting::owns_dial(*token) => {
                if let DialResult::Completed(by) = result {
                    self.served(now, call, *by);
                }
                false
            }
            _ => true,
        };
        if theirs {
            self.tell_run(now, call, RunInput::Notice(notice));
        }
    }

    pub(super) fn partner_of(&self, call: CallId) -> Label {
        let partner = self.calls.get(&call).and_then(|slot| slot.call.partner());
        partner.cloned().unwrap_or_default()
    }

    /// Agents whose phone is in a call that no queue gave them are busy.
    pub(super) fn engage(&mut self, now: Now, call: CallId, side: Party, endpoint: Option<&str>) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let theirs = |agent: &&AgentConfig| Some(agent.endpoint.as_str()) == endpoint;
        for agent in self.agents.iter().filter(theirs) {
            slot.engaged.push((side, agent.id.clone()));
            let agent = agent.id.clone();
            self.center.handle(now, Input::Engaged { agent });
        }
    }

    /// Agents of that side, or all, are in the call no more.
    fn disengage(&mut self, now: Now, call: CallId, side: Option<Party>) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let gone = |(theirs, _): &mut (Party, AgentId)| side.is_none_or(|side| *theirs == side);
        for (_, agent) in slot.engaged.extract_if(.., gone) {
            self.center.handle(now, Input::Released { agent });
        }
    }

    /// The queue's bridge is over.
    fn served(&mut self, now: Now, call: CallId, by: Party) {
        if let Some(slot) = self.calls.get_mut(&call) {
            slot.waiting = None;
        }
        self.tell_run(now, call, RunInput::Queue(QueueNotice::Completed { by }));
    }

    fn on_run(&mut self, now: Now, call: CallId, output: RunOutput) {
        self.plan_takes_away(call, &output);
        match output {
            RunOutput::Do(action) => {
                self.ask(now, call, action);
            }
            RunOutput::Join(request) => self.join(now, call, request),
            RunOutput::Confer(request) => self.confer(now, call, request),
            RunOutput::LeaveConference => self.leave_conference(call),
            RunOutput::Leave => {
                let waiting = self
                    .calls
                    .get_mut(&call)
                    .and_then(|slot| slot.waiting.take());
                if let Some(mut waiting) = waiting {
                    let steps = waiting.leave();
                    self.take_steps(now, call, steps);
                    let steps = waiting.withdrawn();
                    self.take_steps(now, call, steps);
                }
            }
            RunOutput::Step(trace) => self.on_step(now, call, &trace),
            RunOutput::Trouble { node, why } => {
                let slot = self.calls.get(&call);
                let run = slot.and_then(|slot| slot.run.as_ref());
                let place = run.map(|run| run.plan().place_shown(node));
                let why = why.explanation(&place.unwrap_or_default());
                self.trouble_told(now, call, why);
            }
            RunOutput::Finished => self.on_plan_finished(now, call),
        }
    }

    fn on_step(&mut self, now: Now, call: CallId, trace: &crate::dialplan::Trace) {
        self.keep_path(call, trace);
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        let plan = slot.run.as_ref().map(Run::plan);
        let entered = trace.to.and_then(|node| plan?.describe(node));
        if let Some((step, flow)) = entered {
            let what = What::Step {
                flow: flow.to_owned(),
                step,
            };
            slot.step = Some(format!("{flow}/{step}"));
            self.event(now, call, what);
        }
    }

    fn join(&mut self, now: Now, call: CallId, request: QueueRequest) {
        let QueueRequest {
            queue,
            priority,
            max_wait,
        } = request;
        let music = self
            .center
            .queue(&queue)
            .and_then(|config| config.music.clone());
        let (waiting, steps) = Waiting::join(call, music);
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        slot.waiting = Some(waiting);
        slot.queue = Some(queue.clone());
        self.take_steps(now, call, steps);
        self.event(
            now,
            call,
            What::Queued {
                queue: queue.clone(),
            },
        );
        let join = Input::Join {
            call,
            queue,
            priority,
            max_wait,
        };
        self.center.handle(now, join);
        let position = self.center.position_of(call).unwrap_or(1);
        self.tell_run(now, call, RunInput::Queue(QueueNotice::Joined { position }));
    }

    /// The plan has come to its end: so does the call, unless the plan handed it on.
    fn on_plan_finished(&mut self, now: Now, call: CallId) {
        let Some(slot) = self.calls.get_mut(&call) else {
            return;
        };
        slot.run = None;
        if !slot.call.is_handed_on() {
            self.ask(now, call, Action::Hangup(Cause::Normal));
        }
    }

    fn on_finished(&mut self, now: Now, call: CallId, mut cdr: Cdr) {
        self.disengage(now, call, None);
        self.forget_merges(call);
        self.rooms.machine.leave(call);
        self.supervisions.end(call);
        self.supervisions.gone(call);
        let Some(slot) = self.calls.remove(&call) else {
            return;
        };
        let Slot {
            call: machine,
            waiting,
            sessions,
            admitted,
            dialled,
            queue,
            agent,
            waited,
            recordings,
            step,
            trouble,
            ..
        } = *slot;
        self.agenda.set(call, None);
        self.note_end(call);
        for session in sessions.values() {
            self.sessions.remove(session);
        }
        let worker = machine.worker();
        for port in machine.ports_held() {
            self.ports.remove(&(worker, port));
        }
        if let Some(mut waiting) = waiting {
            for input in waiting.leave().center {
                self.center.handle(now, input);
            }
        }
        let dialled = dialled.into_iter().map(|dialled| dialled.admitted);
        for admitted in admitted.into_values().chain(dialled) {
            self.trunks.release(now, admitted);
        }
        cdr.queue = queue;
        cdr.agent = agent;
        cdr.waited = waited;
        cdr.recording = recordings.first;
        cdr.refusal = trouble.or_else(|| hung_up_by_flow(&cdr, step));
        self.event(now, call, What::HungUp { cause: cdr.cause });
        self.outputs.push_back(Output::Cdr(Box::new(cdr)));
    }
}

/// The header that names a call to a browser's side of it.
fn named(call: CallId) -> (String, String) {
    ("X-Tandem-Call".to_owned(), call.to_string())
}

/// The flow's own decision is the reason of a call that nobody answered and nothing broke.
fn hung_up_by_flow(cdr: &Cdr, step: Option<String>) -> Option<Explanation> {
    let unanswered = cdr.answered.is_none() && cdr.cause != Cause::Cancelled;
    let step = step.filter(|_| unanswered)?;
    let cause = cdr.cause;
    Some(Refusal::Flow { cause, step }.explanation())
}

/// How a cause is said in SIP: the status of a refusal, the Reason header of a BYE or CANCEL.
fn ending(cause: Cause) -> Ending {
    let reason = match cause {
        Cause::Elsewhere => sip::ua::ELSEWHERE.to_owned(),
        _ => sip::ua::q850(cause.q850(), cause.name()),
    };
    Ending {
        status: cause.sip_status(),
        reason: Some(reason),
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: RFC 3326 §3.1
    #[test]
    fn whoever_rang_is_told_in_sip_why_he_rings_no_more() {
        let reasons =
            [Cause::Elsewhere, Cause::NoAnswer, Cause::Cancelled].map(|it| ending(it).reason);
        assert_eq!(
            reasons.map(Option::unwrap),
            [
                "SIP;cause=200;text=\"Call completed elsewhere\"",
                "Q.850;cause=19;text=\"no-answer\"",
                "Q.850;cause=16;text=\"cancelled\""
            ]
        );
    }
}
