//! What plays into a leg: prompts asked for, ringing tones, hold music.
//!
//! A leg plays one thing at a time. Clips are fetched by whoever owns the call, so a playback is
//! first *loading*, then *playing*; one that was replaced meanwhile is told as not complete.

use std::sync::Arc;

use media::port::{PlayId, Playback};
use media::source::Clip;
use media::worker::PortCommand;

use super::action::{Notice, PlayToken, Prompt};
use super::command::Output;
use super::leg::{LegState, PortState};
use super::machine::Call;
use super::{Cause, LegId, Trouble};

/// Why something plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody asked for it.
    Asked(PlayToken),
    /// The caller waits for somebody who is rung.
    Ringing,
    /// The bridge partner has put this leg on hold.
    Hold,
}

/// One playback into one leg.
#[derive(Clone, Debug)]
pub(super) struct Playing {
    pub(super) id: PlayId,
    pub(super) purpose: Purpose,
    repeat: bool,
    items: Vec<Prompt>,
    /// Whether it follows the worker's clock, as music for many does.
    shared: bool,
    loaded: bool,
}

/// Clips that a call wants: the answer comes by [`Call::clips_loaded`].
#[derive(Clone, Debug, PartialEq)]
pub struct ClipRequest {
    /// Which leg will hear them.
    pub leg: LegId,
    /// Which playback they are for.
    pub play: PlayId,
    /// What, in order.
    pub items: Vec<Prompt>,
}

/// Why nothing can be played in G.729 or AMR-WB.
const ONLY_RELAYED: &str = "its codec is relayed and never encoded here (media-relay-only)";

impl Call {
    /// Plays to the caller what was asked for, by early media if the call is not answered.
    pub(super) fn play_asked(&mut self, token: PlayToken, items: Vec<Prompt>, repeat: bool) {
        if let Err(why) = self.make_audible(self.caller) {
            self.tell(Notice::PlayFailed { play: token, why });
            return;
        }
        self.start_playing(self.caller, Purpose::Asked(token), items, repeat);
    }

    /// Opens the early-media path of a leg that is not answered yet.
    pub(super) fn make_audible(&mut self, leg: LegId) -> Result<(), String> {
        let Some(it) = self.legs.get_mut(&leg) else {
            return Err("the leg is gone".to_owned());
        };
        if it.hears() {
            return Ok(());
        }
        let LegState::Incoming {
            answer,
            early,
            offered,
        } = &mut it.state
        else {
            return Err("the leg is ending".to_owned());
        };
        if answer.is_none() && offered.is_some() {
            return Err(ONLY_RELAYED.to_owned());
        }
        let Some(answer) = answer.clone() else {
            return Err(
                "the caller's INVITE has no offer, so nothing can be heard before \
                        `answer`: put `answer` first"
                    .to_owned(),
            );
        };
        *early = true;
        self.open_port(leg);
        self.sip(
            leg,
            super::command::SipCommand::Progress {
                status: 183,
                body: Some(answer),
            },
        );
        Ok(())
    }

    pub(super) fn start_playing(
        &mut self,
        leg: LegId,
        purpose: Purpose,
        items: Vec<Prompt>,
        repeat: bool,
    ) {
        self.stop_playing(leg, false);
        let id = PlayId(self.next_play);
        self.next_play += 1;
        let shared = repeat && items.iter().all(|item| matches!(item, Prompt::Music(_)));
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        if it.is_only_relayed() {
            if let Purpose::Asked(play) = purpose {
                let why = ONLY_RELAYED.to_owned();
                self.tell(Notice::PlayFailed { play, why });
            }
            return;
        }
        it.playing = Some(Playing {
            id,
            purpose,
            repeat,
            items: items.clone(),
            shared,
            loaded: false,
        });
        self.outputs.push_back(Output::LoadClips(ClipRequest {
            leg,
            play: id,
            items,
        }));
    }

    /// Silences a leg; a playback that was asked for is told as ended.
    pub(super) fn stop_playing(&mut self, leg: LegId, complete: bool) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let Some(playing) = it.playing.take() else {
            return;
        };
        let port = it.port.id;
        if playing.loaded && !complete && it.port.state == PortState::Open {
            self.port(PortCommand::Stop {
                port,
                play: playing.id,
            });
        }
        if let Purpose::Asked(play) = playing.purpose {
            self.tell(Notice::Played { play, complete });
        }
    }

    /// What one leg hears its successor hears, from the beginning; nobody is told.
    pub(super) fn carry_playing(&mut self, from: LegId, to: LegId) {
        let playing = self.legs.get_mut(&from).and_then(|it| it.playing.take());
        if let Some(playing) = playing {
            let Playing {
                purpose,
                repeat,
                items,
                ..
            } = playing;
            self.start_playing(to, purpose, items, repeat);
        }
    }

    /// Silences a leg if `purpose` is what plays there.
    pub(super) fn stop_purpose(&mut self, leg: LegId, purpose: Purpose) {
        let plays = self.legs.get(&leg).and_then(|it| it.playing.as_ref());
        if plays.is_some_and(|playing| playing.purpose == purpose) {
            self.stop_playing(leg, false);
        }
    }

    /// Takes the clips of an [`Output::LoadClips`]; too late is nothing.
    pub fn clips_loaded(
        &mut self,
        leg: LegId,
        play: PlayId,
        clips: Result<Vec<Arc<Clip>>, String>,
    ) {
        let Some(it) = self.legs.get_mut(&leg) else {
            return;
        };
        let port = it.port.id;
        let open = it.port.state == PortState::Open;
        let Some(playing) = it.playing.as_mut().filter(|playing| playing.id == play) else {
            return;
        };
        match clips {
            Ok(clips) if open => {
                playing.loaded = true;
                let playback = Playback {
                    id: play,
                    clips,
                    repeat: playing.repeat,
                    shared_clock: playing.shared,
                };
                self.port(PortCommand::Play {
                    port,
                    play: Box::new(playback),
                });
            }
            Ok(_) => self.stop_playing(leg, false),
            Err(why) => {
                let purpose = playing.purpose;
                it.playing = None;
                match purpose {
                    Purpose::Asked(play) => self.tell(Notice::PlayFailed { play, why }),
                    Purpose::Ringing | Purpose::Hold => self.trouble(Trouble::Sound(why)),
                }
            }
        }
    }

    /// The worker's word that a playback ended by itself.
    pub(super) fn on_played(&mut self, leg: LegId, play: PlayId) {
        let plays = self.legs.get(&leg).and_then(|it| it.playing.as_ref());
        if plays.is_some_and(|playing| playing.id == play) {
            self.stop_playing(leg, true);
        }
    }

    /// The tone that a caller hears while somebody is rung.
    pub(super) fn start_ringing_tone(&mut self) {
        let tone = vec![Prompt::Tone("ringback".to_owned())];
        self.start_playing(self.caller, Purpose::Ringing, tone, true);
    }

    /// Ends the call because the caller's media cannot be agreed.
    pub(super) fn refuse_media(&mut self, leg: LegId, why: String) {
        self.note(why);
        self.end_leg(leg, Cause::IncompatibleMedia);
    }
}
