//! Whether a leg is heard, and how it fared: one-way audio is told when it begins and when it ends,
//! figures go to the call record.

use media::port::{PortId, PortStats};

use super::command::Output;
use super::machine::Call;

/// Whether anything is heard of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    /// Packets come, or none are expected.
    #[default]
    Heard,
    /// Nothing comes from it while its partner is heard: one direction is dead.
    OneWay,
    /// Nothing comes from it, nor from its partner if it has one.
    Nothing,
}

impl Hearing {
    /// A name for logs, metrics and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::OneWay => "one-way",
            Self::Nothing => "none",
        }
    }
}

/// How the media of one leg's port fared.
#[derive(Clone, Debug, PartialEq)]
pub struct LegFigures {
    /// Who was at the other end.
    pub who: String,
    /// The trunk that the leg went through.
    pub trunk: Option<String>,
    /// The codec agreed last.
    pub codec: &'static str,
    /// The port's counters at its end.
    pub stats: PortStats,
}

impl Call {
    /// A leg's port says that nothing comes, and for how long nothing came from its partner.
    pub(super) fn on_silence(&mut self, port: PortId, partner_ms: Option<u32>) {
        // What only rings, or was never answered, need not speak.
        let speaks = |leg: &super::leg::Leg| leg.is_answered();
        let id = self.leg_of(port);
        let Some(leg) = id
            .and_then(|id| self.legs.get(&id))
            .filter(|leg| speaks(leg))
        else {
            return;
        };
        let is = match partner_ms {
            Some(ms) if ms < PARTNER_HEARD_MS => Hearing::OneWay,
            _ => Hearing::Nothing,
        };
        let id = leg.id;
        self.hears(id, is);
    }

    /// A leg's port says that packets come again.
    pub(super) fn on_sound_again(&mut self, port: PortId) {
        if let Some(leg) = self.leg_of(port) {
            self.hears(leg, Hearing::Heard);
        }
    }

    fn hears(&mut self, leg: super::LegId, is: Hearing) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if it.hearing != is {
            it.hearing = is;
            let who = it.label.address.clone();
            self.outputs.push_back(Output::Hearing { who, is });
        }
    }

    /// Keeps the last counters of a port for the record. Of a call that was handed on without end the
    /// first legs stand.
    pub(super) fn keep_figures(&mut self, port: PortId, stats: PortStats) {
        let Some(leg) = self.leg_of(port).and_then(|leg| self.legs.get(&leg)) else {
            return;
        };
        let Some(agreed) = leg.agreed() else { return };
        if self.figures.len() < FIGURES_MAX {
            self.figures.push(LegFigures {
                who: leg.label.address.clone(),
                trunk: leg.label.trunk.clone(),
                codec: agreed.codec.encoding(),
                stats,
            });
        }
    }
}

/// A partner of whom something came so lately is heard.
const PARTNER_HEARD_MS: u32 = 1_000;

/// Legs of which a record keeps figures.
const FIGURES_MAX: usize = 16;
