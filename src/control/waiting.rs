//! A call's way through a queue: what it hears while it waits, who is rung for it, who serves it.
//!
//! ```text
//!   Join ──▶ music ◀──▶ announcement ──▶ (left)
//!              │ Offer                      ▲
//!              ▼                            │ Left
//!           music, an agent rings ──────────┤
//!              │ Bridged                    │
//!              ▼                            │
//!           served by the agent ──▶ (completed)
//! ```
//!
//! Pure and small: it turns the centre's words into a call's [`Action`]s and the call's [`Notice`]s
//! into the centre's. Nothing here decides who is served: that is `center`.

use std::time::Duration;

use crate::call::{
    Action, CallId, Destination, Dial, DialResult, DialToken, Notice, Party, PlayToken, Prompt,
    Ringback,
};
use crate::center::{AgentId, Declined, Input};

/// Tokens of queues lie above those of plans and below those of transfers.
const TOKENS: u64 = 1 << 62;

/// Where a call stands in its queue.
#[derive(Debug)]
pub(super) struct Waiting {
    call: CallId,
    music: Prompt,
    next_token: u64,
    /// The music that plays, or the announcement after which it plays again.
    playing: Playing,
    /// Who is rung, by which dialling.
    offer: Option<(DialToken, AgentId)>,
    /// Who serves the call.
    served_by: Option<AgentId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Playing {
    Music(PlayToken),
    Announcement(PlayToken),
}

/// What follows from an input: words for the call, and words for the centre.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Steps {
    pub(super) actions: Vec<Action>,
    pub(super) center: Vec<Input>,
}

impl Waiting {
    /// A call joins: music from the first moment.
    pub(super) fn join(call: CallId, music: Option<String>) -> (Self, Steps) {
        let music = Prompt::Music(music.unwrap_or_else(|| "default".to_owned()));
        let playing = Playing::Music(PlayToken(TOKENS));
        let waiting = Self {
            call,
            music,
            next_token: TOKENS + 1,
            playing,
            offer: None,
            served_by: None,
        };
        let steps = Steps {
            actions: vec![waiting.play_music(PlayToken(TOKENS))],
            center: Vec::new(),
        };
        (waiting, steps)
    }

    /// Whether that dialling rings an agent for this call.
    pub(super) fn owns_dial(token: DialToken) -> bool {
        token.0 & TOKENS != 0
    }

    /// Whether that playback is the queue's.
    pub(super) fn owns_play(token: PlayToken) -> bool {
        token.0 & TOKENS != 0
    }

    /// The centre offers the call to an agent.
    pub(super) fn offer(&mut self, agent: AgentId, endpoint: String, ring: Duration) -> Steps {
        let token = DialToken(self.token());
        self.offer = Some((token, agent));
        Steps {
            actions: vec![Action::Dial(Dial {
                token,
                to: vec![Destination::Endpoint(endpoint)],
                // The centre keeps the ring time; this only bounds a centre that forgot.
                timeout: ring + Duration::from_secs(5),
                ringback: Ringback::Keep,
                caller_id: None,
                blind: false,
            })],
            center: Vec::new(),
        }
    }

    /// The centre takes its offer back.
    pub(super) fn withdraw(&mut self, agent: &AgentId) -> Steps {
        let Some((token, _)) = self.offer.take_if(|(_, offered)| offered == agent) else {
            return Steps::default();
        };
        Steps {
            actions: vec![Action::CancelDial(token)],
            center: Vec::new(),
        }
    }

    /// The centre has the caller told a position.
    pub(super) fn announce(&mut self, position: usize) -> Steps {
        let token = PlayToken(self.token());
        self.playing = Playing::Announcement(token);
        let text = match position {
            1 => "You are next in line.".to_owned(),
            n => format!("You are number {n} in line."),
        };
        let speech = Prompt::Speech {
            text,
            voice: None,
            lang: None,
        };
        let action = Action::Play {
            play: token,
            items: vec![speech],
            repeat: false,
        };
        Steps {
            actions: vec![action],
            center: Vec::new(),
        }
    }

    /// The call says something that concerns its wait.
    pub(super) fn on_notice(&mut self, notice: &Notice) -> Steps {
        match notice {
            Notice::Played { play, .. } | Notice::PlayFailed { play, .. } => self.on_played(*play),
            Notice::Bridged(token) => self.on_bridged(*token),
            Notice::DialEnded { token, result } => self.on_dial_ended(*token, result),
            // A caller who has left leaves the agent with somebody else.
            Notice::Transferred { by, .. } if *by == Party::Callee => self.release(),
            _ => Steps::default(),
        }
    }

    /// The call is over, or the plan takes it back: nobody rings for it, nobody serves it.
    pub(super) fn leave(&mut self) -> Steps {
        let mut steps = self.release();
        if let Some((token, _)) = self.offer.take() {
            steps.actions.push(Action::CancelDial(token));
        }
        steps.center.push(Input::Leave { call: self.call });
        steps
    }

    /// The centre has let go of the call: nobody rings for it any more, and the music stops.
    pub(super) fn withdrawn(&mut self) -> Steps {
        let mut actions: Vec<Action> = self
            .offer
            .take()
            .map(|(token, _)| Action::CancelDial(token))
            .into_iter()
            .collect();
        let (Playing::Music(play) | Playing::Announcement(play)) = self.playing;
        actions.push(Action::StopPlay(play));
        Steps {
            actions,
            center: Vec::new(),
        }
    }

    fn on_played(&mut self, play: PlayToken) -> Steps {
        if self.playing != Playing::Announcement(play) || self.served_by.is_some() {
            return Steps::default();
        }
        let token = PlayToken(self.token());
        self.playing = Playing::Music(token);
        Steps {
            actions: vec![self.play_music(token)],
            center: Vec::new(),
        }
    }

    fn on_bridged(&mut self, token: DialToken) -> Steps {
        let Some((_, agent)) = self.offer.take_if(|(offered, _)| *offered == token) else {
            return Steps::default();
        };
        self.served_by = Some(agent.clone());
        Steps {
            actions: Vec::new(),
            center: vec![Input::Accepted {
                call: self.call,
                agent,
            }],
        }
    }

    fn on_dial_ended(&mut self, token: DialToken, result: &DialResult) -> Steps {
        if let DialResult::Completed(_) = result {
            return self.release();
        }
        let Some((_, agent)) = self.offer.take_if(|(offered, _)| *offered == token) else {
            return Steps::default();
        };
        let why = match result {
            DialResult::Busy => Declined::Busy,
            DialResult::NoAnswer | DialResult::Cancelled => Declined::NoAnswer,
            DialResult::Unreachable | DialResult::Refused(500..=599) => Declined::Unreachable,
            DialResult::Refused(_) | DialResult::Completed(_) => Declined::Refused,
        };
        let center = vec![Input::Declined {
            call: self.call,
            agent,
            why,
        }];
        Steps {
            actions: Vec::new(),
            center,
        }
    }

    /// The serving agent is free again.
    fn release(&mut self) -> Steps {
        let center = self.served_by.take().map(|agent| Input::Released { agent });
        Steps {
            actions: Vec::new(),
            center: center.into_iter().collect(),
        }
    }

    fn play_music(&self, play: PlayToken) -> Action {
        Action::Play {
            play,
            items: vec![self.music.clone()],
            repeat: true,
        }
    }

    fn token(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId(7);

    fn joined() -> Waiting {
        Waiting::join(CALL, None).0
    }

    fn agent() -> AgentId {
        AgentId::new("anna")
    }

    fn offered() -> (Waiting, DialToken) {
        let mut waiting = joined();
        let steps = waiting.offer(agent(), "anna-phone".to_owned(), Duration::from_secs(20));
        let [Action::Dial(dial)] = steps.actions.as_slice() else {
            panic!("{steps:?}")
        };
        (waiting, dial.token)
    }

    #[test]
    fn music_plays_again_after_an_announcement() {
        let mut waiting = joined();
        let steps = waiting.announce(3);
        let [
            Action::Play {
                play,
                repeat: false,
                ..
            },
        ] = steps.actions.as_slice()
        else {
            panic!("{steps:?}")
        };
        let steps = waiting.on_notice(&Notice::Played {
            play: *play,
            complete: true,
        });
        assert!(matches!(
            steps.actions.as_slice(),
            [Action::Play { repeat: true, .. }]
        ));
    }

    #[test]
    fn an_agents_refusal_is_told_to_the_centre_with_its_kind() {
        let table = [
            (DialResult::Busy, Declined::Busy),
            (DialResult::NoAnswer, Declined::NoAnswer),
            (DialResult::Refused(503), Declined::Unreachable),
            (DialResult::Unreachable, Declined::Unreachable),
            (DialResult::Refused(603), Declined::Refused),
        ];
        for (result, why) in table {
            let (mut waiting, token) = offered();
            let steps = waiting.on_notice(&Notice::DialEnded { token, result });
            assert_eq!(
                steps.center,
                [Input::Declined {
                    call: CALL,
                    agent: agent(),
                    why
                }]
            );
        }
    }

    #[test]
    fn who_answers_serves_and_is_released_when_the_bridge_ends() {
        let (mut waiting, token) = offered();
        let steps = waiting.on_notice(&Notice::Bridged(token));
        assert_eq!(
            steps.center,
            [Input::Accepted {
                call: CALL,
                agent: agent()
            }]
        );
        let result = DialResult::Completed(Party::Callee);
        let steps = waiting.on_notice(&Notice::DialEnded { token, result });
        assert_eq!(steps.center, [Input::Released { agent: agent() }]);
    }

    #[test]
    fn a_withdrawn_offer_stops_the_ringing_and_its_end_is_not_told_again() {
        let (mut waiting, token) = offered();
        assert_eq!(
            waiting.withdraw(&agent()).actions,
            [Action::CancelDial(token)]
        );
        let result = DialResult::Cancelled;
        assert_eq!(
            waiting.on_notice(&Notice::DialEnded { token, result }),
            Steps::default()
        );
    }

    #[test]
    fn leaving_stops_the_ringing_and_frees_whoever_served() {
        let (mut waiting, token) = offered();
        let steps = waiting.leave();
        assert_eq!(steps.actions, [Action::CancelDial(token)]);
        assert_eq!(steps.center, [Input::Leave { call: CALL }]);
    }
}
