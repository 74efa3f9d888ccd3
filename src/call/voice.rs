//! What is done with a leg's voice on a voice thread, by the section of its trunk or endpoint.

use media::port::PortId;
use media::tap::{VoiceEnd, VoiceTap};
use media::worker::PortCommand;
use voice::activity::Patience;
use voice::chain::Wanted;

use super::command::Output;
use super::machine::Call;
use super::{LegId, Party};

/// How far something done to a leg's voice reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It is not done.
    #[default]
    Off,
    /// Who listens through a tap hears it so: a bot, a recogniser, the talk-spurt machine.
    Tap,
    /// The other party too, by a detour of one tick.
    Leg,
}

/// What is done with a leg's voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoicePolicy {
    /// The echo of what is sent to it is taken out.
    pub echo: Reach,
    /// Steady noise is taken out.
    pub noise: Reach,
    /// It is brought to an even level.
    pub gain: Reach,
    /// Whether it is told who talks when.
    pub talk: bool,
}

impl VoicePolicy {
    /// Whether the other party hears what comes back of the voice thread.
    pub fn is_detour(&self) -> bool {
        [self.echo, self.noise, self.gain].contains(&Reach::Leg)
    }

    /// What the voice thread does. A leg has one chain: on a detour a listener hears what the other
    /// party hears.
    pub fn wanted(&self) -> Wanted {
        let least = if self.is_detour() {
            Reach::Leg
        } else {
            Reach::Tap
        };
        let does = |reach| reach == least || reach == Reach::Leg;
        Wanted {
            echo: does(self.echo),
            noise: does(self.noise),
            gain: does(self.gain),
        }
    }
}

/// A leg that a voice thread is to listen to.
#[derive(Debug)]
pub struct Listening {
    /// Which.
    pub leg: LegId,
    /// What is done with its voice.
    pub wanted: Wanted,
    /// How long its pauses may be.
    pub patience: Patience,
    /// The voice thread's end of the rings.
    pub end: VoiceEnd,
}

impl Call {
    /// The leg's port stands: a voice thread listens to it, if its policy wants that.
    pub(super) fn listen_to(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        it.lent_to = None;
        let (tap, end) = match (it.voice.is_detour(), it.voice.talk) {
            (true, _) => VoiceTap::detour(),
            (false, true) => VoiceTap::tap(),
            (false, false) => return,
        };
        self.listen_by(leg, tap, end);
    }

    /// A listener hears a party's voice as it is for taps, where that differs from what the other party hears; or
    /// he listens no more.
    pub fn lend_voice(&mut self, party: Party, listener: Option<PortId>) {
        let Some(leg) = self.leg_of_party(party) else {
            return;
        };
        let port = self.open_port_of(leg);
        let Some((it, port)) = self.legs.get_mut(&leg).zip(port) else {
            return;
        };
        let policy = it.voice;
        if policy.is_detour() || it.lent_to == listener || policy.wanted() == Wanted::default() {
            return;
        }
        let before = std::mem::replace(&mut it.lent_to, listener);
        if before.is_none() && !policy.talk {
            let (tap, end) = VoiceTap::tap();
            self.listen_by(leg, tap, end);
        }
        self.port(PortCommand::LendVoice { port, listener });
        if listener.is_none() && !policy.talk {
            self.port(PortCommand::Unvoice { port });
        }
    }

    fn listen_by(&mut self, leg: LegId, tap: Box<VoiceTap>, end: VoiceEnd) {
        let Some(it) = self.legs.get(&leg) else {
            return;
        };
        let (port, policy) = (it.port.id, it.voice);
        self.port(PortCommand::Voice { port, tap });
        self.outputs.push_back(Output::Listen(Box::new(Listening {
            leg,
            wanted: policy.wanted(),
            patience: Patience::default(),
            end,
        })));
    }
}
