//! The call machine: legs in, commands out.
//!
//! ```text
//!              Do(Answer)            Do(Dial) … Answered
//!   incoming ─────────────▶ answered ───────────────────▶ bridged ──▶ answered (callee gone)
//!      │                       │                             │
//!      └───────────────────────┴──────── caller gone, ───────┘
//!                                        Do(Hangup)            ──▶ ending ──▶ finished (one CDR)
//! ```
//!
//! Feed it (`on_sip`, `on_media`, `ask`, …), then drain [`Call::poll_output`], then sleep until
//! [`Call::deadline`]. The last output is [`Output::Finished`]; after it the call is dropped.

use std::collections::VecDeque;

use bytes::Bytes;
use clock::Now;
use media::bridge::BridgeId;
use media::port::PortId;
use media::worker::{PortCommand, PortEvent, Refusal};
use sip::ua::Event;

use super::answering::decoded;
use super::command::{Incoming, LegMedia, Output, SipCommand};
use super::dialing::Dialing;
use super::ending::Ending;
use super::few::Few;
use super::hearing::LegFigures;
use super::leg::{Label, Leg, LegState, PortState, offer_cause};
use super::lending::Lending;
use super::record::Recording;
use super::replacing::Replacing;
use super::transfer::{Handover, Transfer};
use super::{Action, CallId, Cause, DialToken, LegId, Notice, Party, Trouble};

/// One call. Plain data; one owner.
#[derive(Debug)]
pub struct Call {
    pub(super) id: CallId,
    pub(super) worker: u8,
    pub(super) bridge: BridgeId,
    pub(super) from: String,
    pub(super) to: String,
    /// Who has the caller's part: the plan's prompts, the queue's music. Another leg than
    /// [`LegId::CALLER`] once the caller has handed the callee on, or was replaced.
    pub(super) caller: LegId,
    /// The trunk it came by.
    pub(super) trunk: Option<String>,
    pub(super) legs: Few<LegId, Leg>,
    pub(super) next_leg: u32,
    pub(super) next_play: u64,
    pub(super) dialing: Option<Dialing>,
    pub(super) partner: Option<LegId>,
    /// The dialling whose bridge this is, and whether the plan has let go of the call.
    pub(super) bridged_by: Option<(DialToken, bool)>,
    pub(super) transfer: Option<Transfer>,
    pub(super) handovers: Vec<Handover>,
    /// How the media of legs that are over fared.
    pub(super) figures: Vec<LegFigures>,
    /// The bridge that the caller hears, if it is a room's.
    pub(super) room: Option<BridgeId>,
    /// A leg that another call wants.
    pub(super) lending: Option<Lending>,
    /// A leg that takes another's place.
    pub(super) replacing: Option<Replacing>,
    pub(super) recording: Recording,
    pub(super) ending: Option<Ending>,
    pub(super) started: Now,
    pub(super) answered: Option<Now>,
    pub(super) answer_told: bool,
    pub(super) bridged: Option<Now>,
    pub(super) finished: bool,
    pub(super) outputs: VecDeque<Output>,
}

impl Call {
    /// A call from its INVITE. An offer that cannot be answered ends it at once, by 488.
    pub fn incoming(id: CallId, bridge: BridgeId, now: Now, incoming: Incoming) -> Self {
        let Incoming {
            from,
            to,
            label,
            offer,
            media,
            recording_rate_max,
        } = incoming;
        let mut call = Self {
            id,
            worker: media.reserved.worker,
            bridge,
            from,
            to,
            caller: LegId::CALLER,
            trunk: label.trunk.clone(),
            legs: Few::new(),
            next_leg: 1,
            next_play: 1,
            dialing: None,
            partner: None,
            bridged_by: None,
            transfer: None,
            handovers: Vec::new(),
            figures: Vec::new(),
            room: None,
            lending: None,
            replacing: None,
            recording: Recording::new(recording_rate_max),
            ending: None,
            started: now,
            answered: None,
            answer_told: false,
            bridged: None,
            finished: false,
            outputs: VecDeque::new(),
        };
        let mut leg = Leg::new(LegId::CALLER, label, media);
        let answer = offer
            .clone()
            .map(|offer| leg.answer_first(offer))
            .transpose();
        let refused = answer.as_ref().err().map(|error| {
            let (label, ours) = (&leg.label, &leg.negotiation.local().codecs);
            let body = offer.as_deref().unwrap_or_default();
            (offer_cause(error), Trouble::media(label, error, body, ours))
        });
        if offer.is_none() {
            // What we offer in our 200 must be heard whatever comes.
            let codecs = decoded(leg.negotiation.local().codecs.clone());
            leg.negotiation.set_codecs(codecs);
        }
        let (answer, offered) = answer.ok().flatten().unzip();
        leg.state = LegState::Incoming {
            answer: answer.flatten(),
            early: false,
            offered,
        };
        call.legs.insert(LegId::CALLER, leg);
        if let Some((cause, why)) = refused {
            call.trouble(why);
            call.hang_up(now, cause);
        }
        call
    }

    /// Carries out what the dialplan, the centre or the API asks. A call that ends obeys nothing more.
    pub fn ask(&mut self, now: Now, action: Action) {
        if self.ending.is_some() {
            return;
        }
        match action {
            Action::Ring => self.ring(),
            Action::Answer => self.answer(now),
            Action::Play {
                play,
                items,
                repeat,
            } => self.play_asked(play, items, repeat),
            Action::StopPlay(play) => {
                self.stop_purpose(self.caller, super::sound::Purpose::Asked(play));
            }
            Action::Dial(dial) => self.dial(now, dial),
            Action::CancelDial(token) => self.cancel_dial(token),
            Action::Record(ask) => self.record(ask),
            Action::SendDigits(digits) => {
                for digit in digits.chars() {
                    self.send_key(self.caller, digit, super::digits::USUAL_MS);
                }
            }
            Action::Hangup(cause) => self.hang_up(now, cause),
        }
    }

    /// Takes one event of a leg's SIP session.
    pub fn on_sip(&mut self, now: Now, leg: LegId, event: Event) {
        match event {
            Event::Progressed {
                status,
                body,
                fork,
                response,
                ..
            } => {
                self.on_reliable_answer((leg, fork), &response, body.as_ref());
                self.on_progress((leg, fork), status, body);
            }
            Event::Answered {
                body,
                needs_answer,
                fork,
                ..
            } => {
                self.on_answered(now, (leg, fork), body, needs_answer);
            }
            Event::Refused {
                status,
                q850,
                response,
                ..
            } => {
                self.callee_refused(leg, status, response.is_some());
                self.on_refused(now, leg, status, q850);
            }
            Event::AnswerHeld { .. } => self.answered = None,
            Event::AnswerSent { .. } => self.answered = Some(now),
            Event::Confirmed { body, .. } => self.on_confirmed(now, leg, body),
            Event::Offered { body, fork, .. } => self.on_offered((leg, fork), body),
            Event::InDialog {
                request_id,
                request,
                ..
            } => {
                self.on_request(now, leg, request_id, &request);
            }
            Event::Ended {
                by, status, q850, ..
            } => self.on_ended(now, leg, by, status, q850),
            Event::OfferAnswered { result, .. } => self.on_offer_answered(now, leg, result),
            Event::InDialogResponse { response, .. } => self.on_response(leg, response.as_ref()),
            Event::Invited { .. }
            | Event::Requested { .. }
            | Event::TurnedAway { .. }
            | Event::Response { .. } => {}
        }
    }

    /// Takes one event of a leg's port.
    pub fn on_media(&mut self, now: Now, event: PortEvent) {
        match event {
            PortEvent::Digit {
                port,
                digit,
                how,
                duration_ms,
            } => {
                let via = match how {
                    media::worker::DtmfVia::Rfc4733 => super::DtmfVia::Rfc4733,
                    media::worker::DtmfVia::InBand => super::DtmfVia::InBand,
                };
                if let Some(leg) = self.leg_of(port) {
                    self.on_key(now, leg, (digit.as_char(), duration_ms), via);
                }
            }
            PortEvent::Played { port, play, .. } => {
                if let Some(leg) = self.leg_of(port) {
                    self.on_played(leg, play);
                }
            }
            PortEvent::NoMedia {
                port, partner_ms, ..
            } => self.on_silence(port, partner_ms),
            PortEvent::MediaBack { port, .. } => self.on_sound_again(port),
            PortEvent::Stats { port, stats } => {
                let leg = self.leg_of(port);
                if let Some(leg) = leg.and_then(|leg| self.legs.get_mut(&leg)) {
                    // The same box again and again.
                    **leg.figures.get_or_insert_default() = stats;
                }
            }
            PortEvent::Closed { port, stats } => {
                self.keep_figures(port, stats);
                self.on_port_closed(now, port);
            }
            PortEvent::Lost { port, why } => self.on_lost(now, port, why),
            PortEvent::Refused { port, why } => {
                self.trouble(Trouble::Worker(format!("port {}: {why}", port.0)));
                if matches!(why, Refusal::PortExists | Refusal::PortsFull) {
                    self.on_port_closed(now, port);
                    self.hang_up(now, Cause::Congestion);
                }
            }
            _ => {}
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self
            .ending
            .as_ref()
            .is_some_and(|ending| ending.give_up_at <= now)
        {
            self.give_up(now);
        }
        if self
            .dialing
            .as_ref()
            .is_some_and(|dialing| dialing.until <= now)
        {
            self.dial_timed_out();
        }
        if self
            .transfer
            .as_ref()
            .is_some_and(|transfer| transfer.until <= now)
        {
            self.transfer_failed(now, 408);
        }
        if self.lending.as_ref().is_some_and(|it| it.until <= now) {
            self.lending_timed_out(now);
        }
        if self.awaited_until().is_some_and(|at| at <= now) {
            self.give_up_absent(now);
        }
    }

    /// When [`Call::handle_timeout`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        let ending = self.ending.as_ref().map(|ending| ending.give_up_at);
        let dialing = self.dialing.as_ref().map(|dialing| dialing.until);
        let transfer = self.transfer.as_ref().map(|transfer| transfer.until);
        let lending = self.lending.as_ref().map(|lending| lending.until);
        let due = ending.into_iter().chain(dialing);
        let due = due.chain(self.awaited_until());
        due.chain(transfer).chain(lending).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Which call.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The media worker that serves all its ports.
    pub fn worker(&self) -> u8 {
        self.worker
    }

    /// Whose part a leg has in the call; none if it is not one of its legs.
    pub fn party(&self, leg: LegId) -> Option<Party> {
        self.legs.get(&leg)?;
        Some(if leg == self.caller {
            Party::Caller
        } else {
            Party::Callee
        })
    }

    /// The caller and the called, as they came.
    pub fn parties(&self) -> (&str, &str) {
        (&self.from, &self.to)
    }

    /// When it began, was answered, and was first bridged.
    pub fn times(&self) -> (Now, Option<Now>, Option<Now>) {
        (self.started, self.answered, self.bridged)
    }

    /// Whether caller and callee hear each other now.
    pub fn is_bridged(&self) -> bool {
        self.partner.is_some()
    }

    /// Whether it is on its way out.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the plan has let go of the call: a blind dialling rings or is bridged.
    pub fn is_handed_on(&self) -> bool {
        self.dialing.as_ref().is_some_and(|dialing| dialing.blind)
            || self.bridged_by.is_some_and(|(_, blind)| blind)
    }

    /// Where a leg's audio comes to.
    pub fn media_address(&self, leg: LegId) -> Option<std::net::IpAddr> {
        Some(self.legs.get(&leg)?.negotiation.local().address)
    }

    /// A leg's port.
    pub fn port_of(&self, leg: LegId) -> Option<PortId> {
        Some(self.legs.get(&leg)?.port.id)
    }

    /// The endpoints of ours that are in the call now.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        let here = self.legs.values().filter(|leg| leg.is_alive());
        here.filter_map(|leg| leg.label.endpoint.as_deref())
    }

    /// The trunk of a leg that is in the call now.
    pub fn trunk_here(&self) -> Option<String> {
        let mut here = self.legs.values().filter(|leg| leg.is_alive());
        here.find_map(|leg| leg.label.trunk.clone())
    }

    /// Who is at the other end of a leg.
    pub fn label(&self, leg: LegId) -> Option<&Label> {
        self.legs.get(&leg).map(|leg| &leg.label)
    }

    /// Ports that were not given back; none once every end was confirmed.
    pub fn ports_held(&self) -> impl Iterator<Item = PortId> {
        let held = self
            .legs
            .values()
            .filter(|leg| leg.port.state != PortState::Closed);
        held.map(|leg| leg.port.id)
    }

    /// The ports that the worker serves.
    pub fn ports_open(&self) -> impl Iterator<Item = PortId> {
        let open = |leg: &&Leg| leg.port.state == PortState::Open;
        self.legs.values().filter(open).map(|leg| leg.port.id)
    }

    /// Who is bridged to the caller.
    pub fn partner(&self) -> Option<&Label> {
        self.partner
            .and_then(|leg| self.legs.get(&leg))
            .map(|leg| &leg.label)
    }

    fn ring(&mut self) {
        let caller = self.legs.get(&self.caller).map(|leg| &leg.state);
        if let Some(LegState::Incoming { early: false, .. }) = caller {
            self.sip(
                self.caller,
                SipCommand::Progress {
                    status: 180,
                    body: None,
                },
            );
        }
    }

    /// Answers the caller. With their offer the answer is ready; else ours goes out in the 200.
    pub(super) fn answer(&mut self, now: Now) {
        let Some(leg) = self.legs.get_mut(&self.caller) else {
            return;
        };
        let LegState::Incoming {
            answer, offered, ..
        } = &leg.state
        else {
            return;
        };
        let (body, late) = match answer.clone() {
            Some(answer) => (answer, false),
            None if offered.is_some() => return self.refuse_relayed(self.caller),
            None => match leg.negotiation.offer() {
                Ok(offer) => (offer, true),
                Err(error) => return self.refuse_media(self.caller, error.to_string()),
            },
        };
        leg.state = LegState::Accepted;
        self.open_port(self.caller);
        self.sip(self.caller, SipCommand::Accept(Some(body)));
        self.answered = Some(now);
        if !late {
            self.tell_answered();
        }
    }

    /// Tells once that the caller's leg is answered: when it hears, or when somebody hears it.
    pub(super) fn tell_answered(&mut self) {
        let answered = self.legs.get(&self.caller).is_some_and(Leg::is_answered);
        if answered && !self.answer_told {
            self.answer_told = true;
            self.tell(Notice::Answered);
        }
    }

    fn on_confirmed(&mut self, now: Now, leg: LegId, body: Option<Bytes>) {
        let lent = self.is_lent(leg);
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if !it.is_answered() {
            return;
        }
        let first = matches!(it.state, LegState::Accepted);
        it.state = LegState::Up;
        // An offer to a leg that moves is answered by its own response.
        let waits = it.negotiation.awaits_answer() && (first || !lent);
        if !waits {
            return self.replacement_confirmed(now, leg);
        }
        let taken = body.map_or_else(
            || Err(Trouble::NoAnswerInIt { message: "ACK" }),
            |answer| it.take_answer(&answer),
        );
        match taken {
            Ok(()) => {
                self.update_port(leg);
                if first && leg == self.caller {
                    self.tell_answered();
                }
                self.replacement_confirmed(now, leg);
            }
            Err(why) => {
                self.trouble(why);
                self.leg_failed(now, leg, Cause::IncompatibleMedia);
            }
        }
    }

    /// The leg's port opens with what is agreed so far.
    pub(super) fn open_port(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if it.port.state != PortState::Reserved {
            return;
        }
        it.port.state = PortState::Open;
        let plan = it.port_plan();
        self.port(PortCommand::Open(Box::new(plan)));
        self.meet_agreed(leg);
        self.listen_to(leg);
        self.follow_detection(leg);
    }

    /// Starts or stops looking for keys in the audio, as the agreement wants it.
    fn follow_detection(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let on = it.wants_detection();
        if on != it.port.detects {
            it.port.detects = on;
            let port = it.port.id;
            self.port(PortCommand::DetectTones { port, on });
        }
    }

    /// The leg's port learns what was agreed anew.
    pub(super) fn update_port(&mut self, leg: LegId) {
        let Some(it) = self.legs.get(&leg) else {
            return;
        };
        if it.port.state == PortState::Open {
            let update = it.port_update();
            self.port(PortCommand::Update(Box::new(update)));
            self.meet_agreed(leg);
            self.follow_detection(leg);
        }
    }

    pub(super) fn add_leg(&mut self, label: Label, media: LegMedia) -> LegId {
        let id = LegId(self.next_leg);
        self.next_leg += 1;
        self.legs.insert(id, Leg::new(id, label, media));
        id
    }

    /// Whose port that is.
    pub fn leg_of(&self, port: PortId) -> Option<LegId> {
        self.legs
            .values()
            .find(|leg| leg.port.id == port)
            .map(|leg| leg.id)
    }

    pub(super) fn sip(&mut self, leg: LegId, command: SipCommand) {
        self.outputs.push_back(Output::Sip(leg, command));
    }

    pub(super) fn port(&mut self, command: PortCommand) {
        self.outputs.push_back(Output::Port(command));
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Tell(notice));
    }

    pub(super) fn note(&mut self, text: String) {
        self.trouble(Trouble::Other(text));
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        self.outputs.push_back(Output::Trouble(Box::new(trouble)));
    }

    /// A leg of ours that rings is refused: said here, whatever the dialling makes of it.
    fn callee_refused(&mut self, leg: LegId, status: u16, answered: bool) {
        let rings = |it: &&Leg| matches!(it.state, LegState::Outgoing { .. });
        let Some(it) = self.legs.get(&leg).filter(rings) else {
            return;
        };
        let who = it.label.clone();
        self.trouble(Trouble::Callee {
            who,
            status,
            answered,
        });
    }
}
