//! What becomes of a blind transfer: a table of states, inputs and effects, without a leg or a clock.
//!
//! ```text
//!            TransferorGone
//!   Together ──────────────▶ Alone        (the party who is handed on hears ringing in both)
//!      │ Answered, Failed, PartyGone │
//!      └──────────▶ over ◀───────────┘
//! ```

/// Who of the bridge is still there while the target rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blind {
    /// Both: the transferor listens for news, the party hears ringing.
    Together,
    /// The transferor has hung up, as most telephones do at once.
    Alone,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The target answered.
    Answered,
    /// The target refused, did not answer, or is nowhere.
    Failed,
    /// The transferor's leg is over.
    TransferorGone,
    /// The leg of the party who is handed on is over.
    PartyGone,
}

/// What is to be done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Tell the transferor what it came to (RFC 3515 §2.4.4).
    Notify,
    /// The target's leg ends.
    EndTarget,
    /// The transferor's leg ends.
    EndTransferor,
    /// Party and target hear each other.
    JoinTarget,
    /// Party and transferor hear each other again.
    Rejoin,
    /// The transferor is left alone: the party is gone.
    KeepTransferor,
    /// The party is left alone.
    KeepParty,
}

impl Blind {
    /// The next state, `None` when the transfer is over, and what is to be done.
    pub(crate) fn step(self, input: Input) -> (Option<Self>, &'static [Effect]) {
        use Effect::{
            EndTarget, EndTransferor, JoinTarget, KeepParty, KeepTransferor, Notify, Rejoin,
        };
        match (self, input) {
            (Self::Together, Input::Answered) => (None, &[Notify, EndTransferor, JoinTarget]),
            (Self::Together, Input::Failed) => (None, &[EndTarget, Notify, Rejoin]),
            (_, Input::TransferorGone) => (Some(Self::Alone), &[]),
            (Self::Together, Input::PartyGone) => (None, &[EndTarget, Notify, KeepTransferor]),
            (Self::Alone, Input::Answered) => (None, &[JoinTarget]),
            (Self::Alone, Input::Failed) => (None, &[EndTarget, KeepParty]),
            (Self::Alone, Input::PartyGone) => (None, &[EndTarget]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Blind, Effect, Input};

    // covers: RFC 3515 §2.4.4
    #[test]
    fn nobody_who_is_still_there_is_left_in_a_bridge_with_nobody() {
        use Effect::*;
        let table: [(&[Input], &[Effect]); 8] = [
            (&[Input::Answered], &[Notify, EndTransferor, JoinTarget]),
            (&[Input::Failed], &[EndTarget, Notify, Rejoin]),
            (&[Input::PartyGone], &[EndTarget, Notify, KeepTransferor]),
            (&[Input::TransferorGone, Input::Answered], &[JoinTarget]),
            (
                &[Input::TransferorGone, Input::Failed],
                &[EndTarget, KeepParty],
            ),
            (&[Input::TransferorGone, Input::PartyGone], &[EndTarget]),
            (
                &[
                    Input::TransferorGone,
                    Input::TransferorGone,
                    Input::Answered,
                ],
                &[JoinTarget],
            ),
            (&[Input::TransferorGone], &[]),
        ];
        for (inputs, wanted) in table {
            let mut state = Some(Blind::Together);
            let mut done = Vec::new();
            for input in inputs {
                let (next, effects) = state.unwrap().step(*input);
                state = next;
                done.extend_from_slice(effects);
            }
            assert_eq!(done, wanted, "{inputs:?}");
            let rings_on = inputs.iter().all(|it| *it == Input::TransferorGone);
            assert_eq!(state.is_some(), rings_on, "{inputs:?}");
        }
    }
}
