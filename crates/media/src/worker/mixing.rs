//! One frame of a bridge: who speaks is decoded and summed, and each hears the sum less his own.

use clock::Now;

use super::Worker;
use super::tick::Bus;
use crate::bridge::edition::Program;
use crate::bridge::floor::Floor;
use crate::bridge::seats::{Pair, Pairs};
use crate::bridge::{Mode, SPEAKERS_MAX};
use crate::dsp::mix::{self, Gain};
use crate::{BUS_FRAME_MAX, SAMPLE_RATE, SILENCE};

/// A frame of the widest bus.
type Wide = [i16; BUS_FRAME_MAX];

/// Room to work in; lent for one bridge, so that the ports can be worked on beside it.
#[derive(Debug, Default)]
pub(super) struct Hall {
    /// The slots of all members.
    members: Vec<u32>,
    /// What each of those says who have the floor, and in the last place what another says who is copied.
    said: Box<[Wide]>,
}

impl Hall {
    /// Room for a bridge of all `ports`.
    pub(super) fn new(ports: usize) -> Self {
        Self {
            members: Vec::with_capacity(ports),
            said: vec![[0; BUS_FRAME_MAX]; SPEAKERS_MAX + 1].into(),
        }
    }
}

/// A bridge's frame, before anybody is told.
struct Mixed<'a> {
    now: Now,
    frame: u64,
    rate: u32,
    mode: Mode,
    floor: Floor,
    pairs: &'a Pairs,
    /// What each of the floor says.
    said: &'a [Wide],
    /// All of it, each as loud as he is to all.
    sum: &'a [i32],
    /// The same as it is heard by who does not speak.
    common: &'a [i16],
    /// What that is called.
    program: Program,
}

impl Worker {
    /// Works on a bridge of several members.
    pub(super) fn together(&mut self, now: Now, frame: u64, bridge: usize) {
        let Some(held) = self.bridge_at(bridge).filter(|held| frame >= held.next) else {
            return;
        };
        let listens = |at: u32| {
            let port = self.port(at as usize);
            port.is_some_and(|port| port.listens)
        };
        if held.mode == Mode::Relay && !self.seats.members(held).any(listens) {
            return;
        }
        let mut hall = std::mem::take(&mut self.hall);
        hall.members.clear();
        if let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) {
            held.next = frame + 1;
            // Its capacity is that of all ports.
            hall.members.extend(self.seats.members(held));
        }
        self.mix(now, frame, bridge, &mut hall);
        self.hall = hall;
        self.fade(bridge);
        self.place(frame, bridge);
    }

    fn mix(&mut self, now: Now, frame: u64, bridge: usize, hall: &mut Hall) {
        let Some(held) = self.bridge_at(bridge) else {
            return;
        };
        let (rate, mode, floor) = (held.rate, held.mode, held.floor);
        let (pairs, program) = (held.pairs.clone(), Program::Mix(held.serial));
        let samples = (rate as usize / 50).min(BUS_FRAME_MAX);
        let mut sum = [0; BUS_FRAME_MAX];
        let sum = sum.get_mut(..samples).unwrap_or_default();
        for (&slot, said) in floor.all().iter().zip(hall.said.iter_mut()) {
            let said = said.get_mut(..samples).unwrap_or_default();
            self.hear(now, slot as usize, rate, said);
            mix::weigh(sum, said, Gain::MUTE, self.gain_of(slot));
        }
        let mut common = [0; BUS_FRAME_MAX];
        let common = common.get_mut(..samples).unwrap_or_default();
        self.sum_up(bridge, frame, sum, common);
        let Some((other, said)) = hall.said.split_last_mut() else {
            return;
        };
        let mixed = Mixed {
            now,
            frame,
            rate,
            mode,
            floor,
            pairs: &pairs,
            said,
            sum,
            common,
            program,
        };
        for &slot in &hall.members {
            self.serve(&mixed, slot, other);
        }
    }

    /// Adds the announcement to the sum, makes of it what is heard by who does not speak, and copies that.
    fn sum_up(&mut self, bridge: usize, frame: u64, sum: &mut [i32], common: &mut [i16]) {
        let Some(held) = self.bridges.get_mut(bridge).and_then(Option::as_mut) else {
            return;
        };
        let rate = held.rate;
        if let Some(announcement) = &mut held.announcement {
            let (mut narrow, mut wide) = (SILENCE, [0; BUS_FRAME_MAX]);
            announcement.player.linear(frame, &mut narrow);
            announcement.to_bus.tune(SAMPLE_RATE, rate);
            let count = announcement.to_bus.convert(&narrow, &mut wide);
            mix::add(sum, wide.get(..count).unwrap_or_default());
        }
        held.limiter.limit(common, sum);
        if let Some(tap) = &mut held.tap {
            tap.offer(frame, (rate, common), (rate, common));
        }
        let ended = self.events.has_room();
        let over = held
            .announcement
            .take_if(|announcement| ended && announcement.player.ended());
        if over.is_some() {
            self.announced(over, true);
            self.settle_bridge(bridge);
        }
    }

    /// Tells one member what he hears.
    fn serve(&mut self, mixed: &Mixed<'_>, slot: u32, other: &mut Wide) {
        let samples = mixed.sum.len();
        let own = mixed.floor.all().iter().position(|&one| one == slot);
        let said = match own.and_then(|own| mixed.said.get(own)) {
            Some(said) => said.get(..samples).unwrap_or_default(),
            None => {
                let said = other.get_mut(..samples).unwrap_or_default();
                self.hear(mixed.now, slot as usize, mixed.rate, said);
                &*said
            }
        };
        let Some(seat) = self.seats.get(slot) else {
            return;
        };
        let is_common = own.is_none() && seat.hears_pairs == 0;
        let is_deaf = seat.is_deaf;
        let mut mine = [0; BUS_FRAME_MAX];
        let heard = match is_common || is_deaf {
            true => mixed.common,
            false => {
                let mine = mine.get_mut(..samples).unwrap_or_default();
                self.less_own(mixed, slot, mine);
                &*mine
            }
        };
        let bus = Bus {
            frame: mixed.frame,
            rate: mixed.rate,
            said,
            heard: Some(heard).filter(|_| !is_deaf),
            program: is_common.then_some(mixed.program),
        };
        match mixed.mode {
            Mode::Mix => self.speak(mixed.now, mixed.frame, slot as usize, &bus),
            // The packets are on their way already: this is the recording's copy.
            Mode::Relay => {
                if let Some(port) = self.port_mut(slot as usize) {
                    port.record(&bus, heard);
                }
            }
        }
    }

    /// What a member hears who speaks, or to whom somebody is louder or quieter than to all.
    fn less_own(&mut self, mixed: &Mixed<'_>, slot: u32, heard: &mut [i16]) {
        let samples = mixed.sum.len();
        let listener = self.port(slot as usize).map(|port| port.plan.port);
        let mut sum = [0; BUS_FRAME_MAX];
        let sum = sum.get_mut(..samples).unwrap_or_default();
        sum.copy_from_slice(mixed.sum);
        for (&from, said) in mixed.floor.all().iter().zip(mixed.said) {
            let said = said.get(..samples).unwrap_or_default();
            let pair = |pair: &&Pair| (pair.from, pair.to) == (from, slot);
            let to_all = self.gain_of(from);
            let to_him = match mixed.pairs.all().iter().find(pair) {
                _ if from == slot => Gain::MUTE,
                Some(pair) => pair.gain,
                None => to_all,
            };
            let mut voice = [0; BUS_FRAME_MAX];
            let voice = voice.get_mut(..samples).unwrap_or_default();
            let aside = listener.zip(self.port(from as usize)).is_some_and(|it| {
                let (listener, port) = it;
                to_him != Gain::MUTE && port.is_heard_aside(listener, mixed.rate, voice)
            });
            if aside {
                mix::weigh(sum, said, to_all, Gain::MUTE);
                mix::weigh(sum, voice, Gain::MUTE, to_him);
            } else {
                mix::weigh(sum, said, to_all, to_him);
            }
        }
        if let Some(seat) = self.seats.get_mut(slot) {
            seat.limiter.limit(heard, sum);
        }
    }

    fn gain_of(&self, slot: u32) -> Gain {
        self.seats.get(slot).map_or(Gain::UNITY, |seat| seat.gain)
    }

    /// Who has been silent for long in a large bridge is decoded no more.
    fn fade(&mut self, bridge: usize) {
        let held = self.bridges.get_mut(bridge).and_then(Option::as_mut);
        let Some(held) = held.filter(|held| held.is_large()) else {
            return;
        };
        if let Some(silent) = Floor::fade(held, &mut self.seats) {
            self.listen(silent as usize, false);
        }
    }
}
