//! A leg's way to another worker: a table of states, inputs and effects.
//!
//! ```text
//!             Accepted           (taken by the other call)
//!   Asked ──────────────▶ Ready ─────────────────────────▶ over
//!     │ Refused, LegGone    │ Unwanted
//!     ▼                     ▼
//!   over ◀─────────────── Returning        PartnerGone is remembered in all of them
//! ```

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moving {
    /// Its peer was asked to send to the new port.
    Asked,
    /// It does; the other call may take the leg.
    Ready,
    /// The other call cannot take it: its peer was asked to send to the old port again.
    Returning,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The peer took our offer.
    Accepted,
    /// It did not.
    Refused,
    /// The other call cannot take the leg any more.
    Unwanted,
    /// The leg itself is over.
    LegGone,
}

/// What is to be done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The other call may take the leg now.
    TellReady,
    /// The new port is not wanted: it goes back.
    TellFailed,
    /// Offer the old port.
    AskHome,
    /// The description that was refused is forgotten.
    Restore,
    /// The old port goes on with what was agreed anew.
    Resume,
    /// The peer sends to a port that is not ours any more: the leg ends.
    EndLeg,
    /// If the partner has gone meanwhile, that is dealt with now.
    MissPartner,
}

impl Moving {
    /// The next state, `None` when nothing moves any more, and what is to be done.
    pub(crate) fn step(self, input: Input) -> (Option<Self>, &'static [Effect]) {
        use Effect::{AskHome, EndLeg, MissPartner, Restore, Resume, TellFailed, TellReady};
        match (self, input) {
            (Self::Asked, Input::Accepted) => (Some(Self::Ready), &[TellReady]),
            (Self::Asked, Input::Refused) => (None, &[Restore, TellFailed, MissPartner]),
            (Self::Asked, Input::Unwanted) => (Some(Self::Asked), &[]),
            (Self::Ready, Input::Unwanted) => (Some(Self::Returning), &[AskHome]),
            (Self::Ready, Input::Accepted | Input::Refused) => (Some(Self::Ready), &[]),
            (Self::Returning, Input::Accepted) => (None, &[Resume, TellFailed, MissPartner]),
            (Self::Returning, Input::Refused) => (None, &[TellFailed, EndLeg]),
            (Self::Returning, Input::Unwanted) => (Some(Self::Returning), &[]),
            (_, Input::LegGone) => (None, &[TellFailed]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Input, Moving};

    // covers: RFC 3264 §8.3.1
    #[test]
    fn a_new_port_is_always_either_taken_or_given_back() {
        use Effect::*;
        use Input::*;
        let table: [(&[Input], &[Effect]); 8] = [
            (&[Accepted], &[TellReady]),
            (&[Refused], &[Restore, TellFailed, MissPartner]),
            (&[LegGone], &[TellFailed]),
            (&[Accepted, LegGone], &[TellReady, TellFailed]),
            (&[Accepted, Unwanted], &[TellReady, AskHome]),
            (
                &[Accepted, Unwanted, Accepted],
                &[TellReady, AskHome, Resume, TellFailed, MissPartner],
            ),
            (
                &[Accepted, Unwanted, Refused],
                &[TellReady, AskHome, TellFailed, EndLeg],
            ),
            (
                &[Unwanted, Accepted, Unwanted, LegGone],
                &[TellReady, AskHome, TellFailed],
            ),
        ];
        for (inputs, wanted) in table {
            let mut state = Some(Moving::Asked);
            let mut done = Vec::new();
            for input in inputs {
                let (next, effects) = state.unwrap().step(*input);
                state = next;
                done.extend_from_slice(effects);
            }
            assert_eq!(done, wanted, "{inputs:?}");
            let told = done.contains(&TellFailed);
            assert_eq!(state.is_none(), told, "{inputs:?}");
        }
    }
}
