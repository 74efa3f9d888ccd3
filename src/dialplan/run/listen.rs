//! How keys are collected: prompts in groups, barge-in, the first-key and the inter-key wait.

use std::sync::Arc;

use clock::Now;

use super::{Action, Exit, Notice, PlayToken, Run, State};
use super::{TYPED_MAX, Value};
use crate::dialplan::plan::{Gather, Menu, Node, Step};
use crate::dialplan::trouble::Trouble;

/// A `gather` or menu while it listens.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    keys: String,
    /// The playback that is heard, and whether a key stops it.
    playing: Option<(PlayToken, bool)>,
    /// The first prompt not yet begun.
    next_prompt: usize,
    /// Until when the next key is awaited, once nothing plays.
    until: Option<Now>,
    /// Rounds without any key, and with wrong keys.
    timeouts: u32,
    invalids: u32,
}

impl Listening {
    pub(super) fn deadline(&self) -> Option<Now> {
        self.until
    }

    pub(super) fn hears_keys(&self) -> bool {
        self.playing.is_none_or(|(_, barge_in)| barge_in)
    }
}

/// What the keys so far come to.
enum Verdict {
    More,
    Exit(Exit),
    Wrong,
}

fn gather_of(step: &Step) -> Option<&Gather> {
    match step {
        Step::Gather(gather) => Some(gather),
        Step::Menu(menu) => Some(&menu.gather),
        _ => None,
    }
}

impl Run {
    /// Begins to listen; `again` is a menu that says itself again and keeps its count.
    pub(super) fn listen(&mut self, now: Now, node: &Node, again: bool) {
        let (timeouts, invalids) = if again { self.rounds } else { (0, 0) };
        let typed = std::mem::take(&mut self.typed);
        self.state = State::Listening(Listening {
            keys: String::new(),
            playing: None,
            next_prompt: 0,
            until: None,
            timeouts,
            invalids,
        });
        let hears_keys = gather_of(&node.step)
            .and_then(|gather| gather.prompts.first())
            .is_none_or(|prompt| prompt.barge_in);
        if typed.is_empty() || !hears_keys {
            return self.speak_next(now, node);
        }
        for key in typed.chars().take(TYPED_MAX) {
            if matches!(self.state, State::Listening(_)) {
                self.key(now, key);
            }
        }
    }

    /// Plays the next prompts that share their barge-in, or begins the wait for a key.
    fn speak_next(&mut self, now: Now, node: &Node) {
        let (State::Listening(listening), Some(gather)) = (&mut self.state, gather_of(&node.step))
        else {
            return;
        };
        let rest = gather.prompts.get(listening.next_prompt..).unwrap_or(&[]);
        let Some(first) = rest.first() else {
            listening.playing = None;
            listening.until = Some(now + gather.first);
            return;
        };
        let barge_in = first.barge_in;
        let alike = rest.iter().take_while(|p| p.barge_in == barge_in).count();
        listening.next_prompt += alike;
        listening.until = None;
        let group = rest.get(..alike).unwrap_or(rest);
        let play = self.play(group);
        if let State::Listening(listening) = &mut self.state {
            listening.playing = Some((play, barge_in));
            listening.until = Some(now + super::SPEAKING_MAX);
        }
    }

    /// A notice of the call while listening.
    pub(super) fn heard(&mut self, now: Now, notice: Notice) {
        let State::Listening(listening) = &self.state else {
            return;
        };
        let playing = listening.playing;
        match notice {
            Notice::Digit { digit, .. } => match playing {
                Some((_, false)) => {}
                Some((play, true)) => {
                    self.ask(Action::StopPlay(play));
                    if let State::Listening(listening) = &mut self.state {
                        listening.playing = None;
                    }
                    self.key(now, digit);
                }
                None => self.key(now, digit),
            },
            Notice::Played { play, .. } if playing.is_some_and(|(p, _)| p == play) => {
                self.go_on_speaking(now);
            }
            Notice::PlayFailed { play, why } if playing.is_some_and(|(p, _)| p == play) => {
                self.trouble(Trouble::Sound(why));
                self.go_on_speaking(now);
            }
            _ => {}
        }
    }

    fn go_on_speaking(&mut self, now: Now) {
        let plan = Arc::clone(&self.plan);
        if let Some(node) = self.node.and_then(|id| plan.node(id)) {
            self.speak_next(now, node);
        }
    }

    /// One key.
    fn key(&mut self, now: Now, key: char) {
        self.quick = 0;
        let plan = Arc::clone(&self.plan);
        let Some(node) = self.node.and_then(|id| plan.node(id)) else {
            return;
        };
        let (State::Listening(listening), Some(gather)) = (&mut self.state, gather_of(&node.step))
        else {
            return;
        };
        let finished = gather.finish == Some(key);
        if !finished {
            listening.keys.push(key);
        }
        let verdict = match &node.step {
            Step::Menu(menu) => menu_verdict(node, menu, &listening.keys, finished),
            _ => gather_verdict(gather, &listening.keys, finished),
        };
        if let Verdict::More = verdict {
            listening.until = Some(now + gather.between);
            return;
        }
        self.conclude(now, node, verdict);
    }

    /// The wait for a key, or for the end of a playback, is over.
    pub(super) fn waited(&mut self, now: Now) {
        let plan = Arc::clone(&self.plan);
        let Some(node) = self.node.and_then(|id| plan.node(id)) else {
            return;
        };
        let (State::Listening(listening), Some(gather)) = (&self.state, gather_of(&node.step))
        else {
            return;
        };
        if let Some((play, _)) = listening.playing {
            self.trouble(Trouble::SoundNeverEnded);
            self.ask(Action::StopPlay(play));
            return self.speak_next(now, node);
        }
        let verdict = match &node.step {
            _ if listening.keys.is_empty() => Verdict::Exit(Exit::Timeout),
            Step::Menu(menu) => menu_verdict(node, menu, &listening.keys, true),
            _ => gather_verdict(gather, &listening.keys, true),
        };
        self.conclude(now, node, verdict);
    }

    fn conclude(&mut self, now: Now, node: &Node, verdict: Verdict) {
        let State::Listening(listening) = &mut self.state else {
            return;
        };
        self.digits = std::mem::take(&mut listening.keys);
        let (mut timeouts, mut invalids) = (listening.timeouts, listening.invalids);
        let exit = match verdict {
            Verdict::Exit(exit) => exit,
            Verdict::Wrong | Verdict::More => Exit::Invalid,
        };
        match exit {
            Exit::Timeout => timeouts += 1,
            Exit::Invalid => invalids += 1,
            _ => {}
        }
        self.rounds = (timeouts, invalids);
        let again = match (&node.step, &exit) {
            (Step::Menu(menu), Exit::Timeout) => timeouts < menu.timeouts,
            (Step::Menu(menu), Exit::Invalid) => invalids < menu.invalids,
            (Step::Gather(gather), Exit::Timeout | Exit::Invalid) => {
                timeouts + invalids <= gather.retries
            }
            _ => false,
        };
        if let Step::Gather(gather) = &node.step
            && let Some(name) = &gather.into
        {
            let value = Value::Text(self.digits.clone());
            self.variables.insert(name.clone(), value);
        }
        if again {
            return self.say_again(now, node);
        }
        let is_menu = matches!(node.step, Step::Menu(_));
        let exit = match is_menu && exit == Exit::Invalid && !node.has(&Exit::Invalid) {
            true => Exit::Timeout,
            false => exit,
        };
        self.leave(now, exit);
    }

    /// The next round of the same step.
    fn say_again(&mut self, now: Now, node: &Node) {
        if let (Some(id), Step::Menu(_)) = (self.node, &node.step) {
            return self.enter(now, Some((id, Exit::Repeat)), Some(id));
        }
        self.listen(now, node, true);
    }
}

fn gather_verdict(gather: &Gather, keys: &str, finished: bool) -> Verdict {
    if !finished && keys.len() < gather.digits {
        return Verdict::More;
    }
    match keys.len() >= gather.min {
        true => Verdict::Exit(Exit::Next),
        false => Verdict::Wrong,
    }
}

fn menu_verdict(node: &Node, menu: &Menu, keys: &str, finished: bool) -> Verdict {
    let mut exact = false;
    let mut longer = false;
    for (exit, _) in &node.exits {
        if let Exit::Keys(wanted) = exit {
            exact |= wanted == keys;
            longer |= wanted.len() > keys.len() && wanted.starts_with(keys);
        }
    }
    let waits = longer && !finished && keys.len() < menu.gather.digits;
    match (waits, exact) {
        (true, _) => Verdict::More,
        (false, true) => Verdict::Exit(Exit::Keys(keys.to_owned())),
        (false, false) => Verdict::Wrong,
    }
}
