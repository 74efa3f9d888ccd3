//! The answer to the caller's offer: made at once, and made again as long as nobody has seen it, when who
//! answers speaks another codec than the caller was going to be told.
//!
//! ```text
//!   their offer ── a codec that is decoded here ─▶ answer ready ── callee speaks another one ─▶ another answer
//!        └──────── only codecs that are relayed ─▶ undecided ──── callee speaks one of those ──▶ answer ready
//!                                                      └──────── somebody is to be heard ──────▶ 488
//! ```
//!
//! Codecs that are relayed and never decoded (G.729, AMR-WB) are agreed on only with two parties at once:
//! a prompt or a recording would need them decoded.

use bytes::Bytes;
use sip::sdp::{Codec, ModeSet, Negotiation, OfferError};

use super::leg::{Leg, LegState};
use super::machine::Call;
use super::{Cause, LegId, Trouble};

/// What the caller's answer is made of, until it has gone.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    offer: Bytes,
    /// The exchanges as they were before.
    fresh: Negotiation,
    /// Of the offer and of ours: what can only be relayed.
    relayed: Vec<Codec>,
}

impl Leg {
    /// Answers an offer by what is decoded here, and keeps what another answer needs. Without an answer the
    /// offer has only what can be relayed.
    pub(super) fn answer_first(
        &mut self,
        offer: Bytes,
    ) -> Result<(Option<Bytes>, Box<Offered>), OfferError> {
        let fresh = self.negotiation.clone();
        let ours = &fresh.local().codecs;
        let mut relayed = Vec::new();
        if ours.iter().any(|codec| codec.is_only_relayed()) {
            relayed = fresh.common(&offer);
            relayed.retain(|codec| codec.is_only_relayed());
            self.negotiation.set_codecs(decoded(ours.clone()));
        }
        let answer = match self.negotiation.answer(&offer) {
            Ok(answer) => Some(answer),
            Err(OfferError::NoCommonCodec(_)) if !relayed.is_empty() => None,
            Err(error) => return Err(error),
        };
        let offered = Offered {
            offer,
            fresh,
            relayed,
        };
        Ok((answer, Box::new(offered)))
    }

    /// Whether what it speaks can only be relayed.
    pub(super) fn is_only_relayed(&self) -> bool {
        self.agreed().is_some_and(|it| it.codec.is_only_relayed())
    }

    /// The codecs that can only be relayed and that this leg, the caller's, may yet agree on; and whether
    /// it can have no others.
    fn may_relay(&self) -> (Vec<Codec>, bool) {
        match &self.state {
            LegState::Incoming {
                answer,
                early: false,
                offered: Some(offered),
            } => (offered.relayed.clone(), answer.is_none()),
            _ => match self.agreed().map(|it| it.codec) {
                Some(codec) if codec.is_only_relayed() => (vec![codec], true),
                _ => (Vec::new(), false),
            },
        }
    }
}

impl Call {
    /// The modes that the caller holds AMR-WB to: so must be who is rung, to whom it is relayed.
    pub(super) fn caller_modes(&self) -> Option<ModeSet> {
        let leg = self.legs.get(&self.caller)?;
        match &leg.state {
            LegState::Incoming {
                offered: Some(offered),
                ..
            } => Negotiation::modes_of(&offered.offer),
            _ => leg.agreed()?.modes,
        }
    }

    /// What a leg that is rung for the caller may be offered, of `codecs`.
    pub(super) fn offerable(&self, codecs: Vec<Codec>) -> Vec<Codec> {
        let caller = self.legs.get(&self.caller).map(Leg::may_relay);
        let (mut relayed, only) = caller.unwrap_or_default();
        if self.recording.is_wanted() && !only {
            // A recording needs it decoded.
            relayed.clear();
        }
        let may = |codec: &Codec| {
            if codec.is_only_relayed() {
                relayed.contains(codec)
            } else {
                !only
            }
        };
        codecs.into_iter().filter(may).collect()
    }

    /// Who is rung speaks `codec`: if nobody has seen the caller's answer, it names the same where it can.
    /// AMR-WB is held to the `modes` of whoever is rung.
    pub(super) fn answer_like(&mut self, codec: Codec, modes: Option<ModeSet>) {
        let Some(leg) = self.legs.get_mut(&self.caller) else {
            return;
        };
        if leg.agreed().is_some_and(|it| it.codec == codec) {
            return;
        }
        let LegState::Incoming {
            answer,
            early: false,
            offered: Some(offered),
        } = &mut leg.state
        else {
            return;
        };
        let mut anew = offered.fresh.clone();
        anew.set_modes(modes);
        let codecs = anew.local().codecs.clone();
        anew.set_codecs(match codec.is_only_relayed() {
            true => vec![codec],
            false => decoded(codecs),
        });
        let made = anew.answer_preferring(&offered.offer, codec);
        let same = anew.agreed().is_some_and(|it| it.codec == codec);
        if let (Ok(made), true) = (made, same) {
            *answer = Some(made);
            leg.negotiation = anew;
        }
    }

    /// A leg that is bridged stays with what it agreed on: decoded codecs, or the one that is relayed.
    pub(super) fn settle_codecs(&mut self, leg: LegId) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let modes = it.agreed().and_then(|agreed| agreed.modes);
        it.negotiation.set_modes(modes);
        let agreed = it.agreed().map(|agreed| agreed.codec);
        let codecs = it.negotiation.local().codecs.clone();
        if codecs.iter().any(|codec| codec.is_only_relayed()) {
            it.negotiation.set_codecs(match agreed {
                Some(codec) if codec.is_only_relayed() => vec![codec],
                _ => decoded(codecs),
            });
        }
    }

    /// A leg whose codec can only be relayed is wanted for more than that.
    pub(super) fn refuse_relayed(&mut self, leg: LegId) {
        let Some(it) = self.legs.get(&leg) else {
            return;
        };
        let codec = match &it.state {
            LegState::Incoming {
                offered: Some(offered),
                ..
            } => offered.relayed.first().copied(),
            _ => it.agreed().map(|agreed| agreed.codec),
        };
        let who = it.label.clone();
        self.trouble(Trouble::OnlyRelayed { who, codec });
        self.end_leg(leg, Cause::IncompatibleMedia);
    }
}

/// Those of `codecs` that are decoded and encoded here.
pub(super) fn decoded(mut codecs: Vec<Codec>) -> Vec<Codec> {
    codecs.retain(|codec| !codec.is_only_relayed());
    codecs
}
