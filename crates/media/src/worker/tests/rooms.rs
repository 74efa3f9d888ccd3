//! Rooms: who is heard by whom and how loud, who is decoded at all, and what is encoded once.

use super::world::World;
use crate::bridge::SPEAKERS_MAX;
use crate::dsp::mix::Gain;
use crate::dsp::{Goertzel, Tone};
use crate::port::{PlayId, Playback};
use crate::source::Clip;
use crate::tap::Tap;
use crate::worker::{PortCommand, PortEvent, Refusal};
use crate::{Codec, FRAME};

const TONES: [f32; 3] = [440.0, 1_000.0, 1_500.0];

impl World {
    fn gain(&mut self, from: usize, to: Option<usize>, db: Option<f32>) {
        let port = self.port(from);
        let to = to.map(|to| self.port(to));
        let gain = db.map(Gain::from_db);
        self.command(PortCommand::Gain { port, to, gain });
    }

    fn mute(&mut self, phone: usize) {
        self.gain(phone, None, Some(-200.0));
    }

    /// Who of the first three hears whom, in the last 20 frames.
    fn hearing(&mut self) -> [[bool; 3]; 3] {
        self.clear();
        self.frames(30);
        let hears =
            |listener: usize, speaker: usize| self.phones[listener].level(TONES[speaker]) > -40.0;
        std::array::from_fn(|listener| std::array::from_fn(|speaker| hears(listener, speaker)))
    }

    fn listens(&self, phone: usize) -> bool {
        let at = self.worker.index.get(self.port(phone).0).unwrap();
        self.worker.port(at).unwrap().listens
    }

    fn refusals(&self) -> Vec<Refusal> {
        let refused = |event: &PortEvent| match event {
            PortEvent::Refused { why, .. } => Some(*why),
            _ => None,
        };
        self.events.iter().filter_map(refused).collect()
    }
}

impl super::world::Phone {
    /// How loud a tone is in what it has heard, without the first ten frames.
    fn level(&self, hz: f32) -> f32 {
        let sound = self.sound();
        let sound = sound.get(10 * FRAME..).unwrap_or_default();
        Goertzel::new(hz, 8_000).dbfs(sound)
    }
}

const T: bool = true;
const F: bool = false;

/// An agent (0), his caller (1) and a supervisor (2).
#[test]
fn a_supervisor_listens_whispers_and_barges_in_and_each_hears_what_he_should() {
    let everybody = [[F, T, T], [T, F, T], [T, T, F]];
    let listens = [[F, T, F], [T, F, F], [T, T, F]];
    let whispers = [[F, T, T], [T, F, F], [T, T, F]];
    let mut world = World::bridged(Codec::Pcma, &TONES);
    assert_eq!(world.hearing(), everybody, "three in a room");
    world.mute(2);
    assert_eq!(world.hearing(), listens);
    world.gain(2, Some(0), Some(0.0));
    assert_eq!(world.hearing(), whispers);
    world.gain(2, None, None);
    assert_eq!(world.hearing(), everybody, "he barges in");
    world.mute(2);
    world.gain(2, Some(0), None);
    assert_eq!(world.hearing(), listens, "and listens again");
    world
        .phones
        .iter()
        .for_each(|phone| phone.assert_one_steady_stream());
}

#[test]
fn the_muted_are_not_heard_nor_decoded_and_the_deaf_hear_nothing_but_their_own_music() {
    let mut world = World::bridged(Codec::Pcmu, &TONES);
    world.mute(1);
    assert_eq!(world.hearing(), [[F, F, T], [T, F, T], [T, F, F]]);
    assert!(!world.listens(1) && world.listens(0));
    world.gain(1, None, None);
    let port = world.port(0);
    world.command(PortCommand::Deafen { port, on: true });
    assert_eq!(world.hearing(), [[F, F, F], [T, F, T], [T, T, F]]);
    let mut music = vec![0; 8_000];
    Tone::new(620.0, -13.0).fill(&mut music);
    let clips = vec![Clip::from_pcm8k(music).unwrap().into()];
    world.command(PortCommand::Play {
        port,
        play: Playback::music(PlayId(1), clips),
    });
    world.hearing();
    assert!(world.phones[0].level(620.0) > -15.0);
    assert!(world.phones[1].level(620.0) < -40.0);
    world.command(PortCommand::Deafen { port, on: false });
    assert_eq!(world.hearing(), [[F, T, T], [T, F, T], [T, T, F]]);
}

#[test]
fn a_gain_is_heard_to_the_decibel_by_whom_it_is_for() {
    let mut world = World::bridged(Codec::Pcmu, &TONES);
    world.gain(0, None, Some(-6.0));
    world.gain(0, Some(2), Some(-20.0));
    world.gain(1, Some(2), Some(3.0));
    world.hearing();
    let table = [
        (1, 0, -19.0),
        (2, 0, -33.0),
        (2, 1, -10.0),
        (0, 1, -13.0),
        (0, 2, -13.0),
    ];
    for (listener, speaker, wanted) in table {
        let level = world.phones[listener].level(TONES[speaker]);
        assert!(
            (level - wanted).abs() < 1.0,
            "{listener} hears {speaker} at {level}, not {wanted}"
        );
    }
}

#[test]
fn two_with_a_gain_are_mixed_and_relayed_again_once_it_is_taken_back() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(10);
    assert!(!world.listens(0));
    world.mute(1);
    world.clear();
    world.frames(40);
    assert!(world.phones[0].level(1_000.0) < -40.0);
    assert!(world.phones[1].level(440.0) > -15.0);
    world.gain(1, None, None);
    world.frames(1);
    world.clear();
    let relayed = world.stats(0).relayed;
    world.frames(20);
    assert!(world.stats(0).relayed >= relayed + 19);
    assert!(!world.listens(0) && !world.listens(1));
}

#[test]
fn what_was_said_of_a_member_ends_when_he_leaves() {
    let mut world = World::bridged(Codec::Pcma, &TONES);
    world.mute(0);
    world.gain(1, Some(2), Some(-200.0));
    assert_eq!(world.hearing(), [[F, T, T], [F, F, T], [F, F, F]]);
    for phone in [0, 1] {
        let port = world.port(phone);
        world.command(PortCommand::Unbridge { port });
    }
    for phone in [0, 1] {
        world.bridge(phone, 1);
    }
    assert_eq!(world.hearing(), [[F, T, T], [T, F, T], [T, T, F]]);
}

#[test]
fn gains_of_ports_that_are_not_together_are_refused() {
    let mut world = World::new();
    for hz in TONES {
        world.phone(Codec::Pcma, hz, |_| {});
    }
    world.mute(0);
    world.bridge(0, 1);
    world.bridge(1, 2);
    world.gain(0, Some(1), Some(0.0));
    world.gain(0, Some(2), Some(0.0));
    assert_eq!(world.refusals(), [Refusal::NotBridged; 3]);
}

/// A room of `members` in which `talkers` speak, one tone each, and the others send the hiss of a line.
fn room(members: usize, talkers: usize) -> World {
    let mut world = World::of(members);
    for n in 0..members {
        let phone = world.phone(Codec::Pcma, 300.0 + 130.0 * n as f32, |_| {});
        if n >= talkers {
            world.phones[phone].tone = Tone::new(2_000.0, -65.0);
        }
        world.bridge(phone, 1);
    }
    world
}

#[test]
fn in_a_large_room_those_who_speak_are_heard_by_all_and_nobody_else_is_decoded() {
    let mut world = room(40, 3);
    world.frames(80);
    world.clear();
    world.frames(40);
    let listening: Vec<usize> = (0..40).filter(|&phone| world.listens(phone)).collect();
    assert_eq!(listening, [0, 1, 2]);
    for (listener, phone) in world.phones.iter().enumerate() {
        for speaker in 0..3 {
            let level = phone.level(300.0 + 130.0 * speaker as f32);
            let wanted = listener != speaker;
            assert_eq!(level > -16.0, wanted, "{listener} {speaker} {level}");
        }
        phone.assert_one_steady_stream();
    }
    let silent = &world.phones[5].heard;
    for other in &world.phones[6..] {
        let same = silent.iter().zip(&other.heard);
        assert!(same.clone().count() > 30);
        assert!({ same }.all(|(a, b)| a.payload == b.payload));
    }
}

#[test]
fn who_begins_to_speak_in_a_large_room_is_heard_from_his_first_packet_on() {
    let mut world = room(20, 0);
    world.frames(80);
    assert!((0..20).all(|phone| !world.listens(phone)));
    world.clear();
    world.phones[7].tone = Tone::new(1_000.0, -13.0);
    world.frames(5);
    assert!(world.listens(7));
    world.phones[7].tone = Tone::new(1_000.0, -65.0);
    world.frames(20);
    let sound = world.phones[2].sound();
    let tone = Goertzel::new(1_000.0, 8_000);
    let levels: Vec<f32> = sound.chunks(FRAME).map(|part| tone.dbfs(part)).collect();
    let heard = levels.iter().filter(|&&level| level > -20.0);
    assert!(heard.count() >= 5, "all five frames of it: {levels:.0?}");
    world.frames(80);
    assert!(!world.listens(7), "and he is decoded no more");
}

#[test]
fn of_more_talkers_than_places_the_loudest_are_heard() {
    let mut world = room(20, 12);
    for n in 0..12 {
        let level = if n < SPEAKERS_MAX { -13.0 } else { -30.0 };
        world.phones[n].tone = Tone::new(300.0 + 130.0 * n as f32, level);
    }
    world.frames(60);
    let listening: Vec<usize> = (0..20).filter(|&phone| world.listens(phone)).collect();
    assert_eq!(listening, (0..SPEAKERS_MAX).collect::<Vec<_>>());
    world.phones[0].tone = Tone::new(2_000.0, -65.0);
    world.phones[11].tone = Tone::new(1_730.0, -13.0);
    world.frames(60);
    assert!(!world.listens(0) && world.listens(11));
}

#[test]
fn a_room_that_grows_and_shrinks_breaks_nobodys_word() {
    let mut world = room(SPEAKERS_MAX, 1);
    world.frames(40);
    let late = world.phone(Codec::Pcma, 2_000.0, |_| {});
    world.phones[late].tone = Tone::new(2_000.0, -65.0);
    world.clear();
    world.bridge(late, 1);
    world.frames(50);
    let gaps = |world: &World| {
        let sound = world.phones[3].sound();
        let tone = Goertzel::new(300.0, 8_000);
        let silent = sound.chunks(FRAME).filter(|part| tone.dbfs(part) < -20.0);
        silent.count()
    };
    assert_eq!(gaps(&world), 0, "it has grown");
    world.clear();
    let port = world.port(late);
    world.command(PortCommand::Unbridge { port });
    world.frames(50);
    assert_eq!(gaps(&world), 0, "it has shrunk");
}

#[test]
fn an_announcement_is_heard_by_all_once_and_told_once_whoever_is_left() {
    let mut world = World::bridged(Codec::Pcmu, &TONES);
    world.frames(20);
    let clip = || {
        let mut samples = vec![0; 4_000];
        Tone::new(620.0, -13.0).fill(&mut samples);
        vec![Clip::from_pcm8k(samples).unwrap().into()]
    };
    world.clear();
    let port = world.port(0);
    let play = Playback::once(PlayId(5), clip());
    world.command(PortCommand::Announce { port, play });
    world.frames(40);
    for phone in &world.phones {
        let sound = phone.sound();
        let tone = Goertzel::new(620.0, 8_000);
        let heard = sound.chunks(FRAME).filter(|part| tone.dbfs(part) > -16.0);
        assert!((24..=26).contains(&heard.count()));
    }
    assert_eq!(world.played(), [(PlayId(5), true)]);
    world.clear();
    let play = Playback::once(PlayId(6), clip());
    world.command(PortCommand::Announce { port, play });
    for phone in 0..3 {
        let port = world.port(phone);
        world.command(PortCommand::Close { port });
    }
    assert_eq!(world.played(), [(PlayId(6), false)]);
    assert_eq!(
        world.garbage(),
        ["plan", "plan", "playback", "plan"],
        "with the last who left"
    );
}

#[test]
fn a_bridges_tap_has_all_voices_and_goes_back_with_the_bridge() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let port = world.port(0);
    let (tap, mut reader) = Tap::new(8_000, 200);
    world.command(PortCommand::TapBridge { port, tap });
    world.frames(50);
    let mut left = Vec::new();
    while let Ok(frame) = reader.pop() {
        assert_eq!(frame.left, frame.right);
        left.extend_from_slice(&frame.left);
    }
    assert_eq!(left.len(), 50 * FRAME);
    for hz in [440.0, 1_000.0] {
        assert!(Goertzel::new(hz, 8_000).dbfs(&left[10 * FRAME..]) > -15.0);
    }
    world.clear();
    world.command(PortCommand::UntapBridge { port });
    assert_eq!(world.garbage(), ["tap"]);
    world.frames(5);
    assert!(!world.listens(0), "relayed again");
    let (tap, _reader) = Tap::new(8_000, 200);
    world.command(PortCommand::TapBridge { port, tap });
    world.clear();
    for phone in 0..2 {
        let port = world.port(phone);
        world.command(PortCommand::Unbridge { port });
    }
    assert_eq!(world.garbage(), ["tap"]);
}

#[test]
fn listeners_of_one_codec_get_one_encoding_and_who_speaks_his_own() {
    for codec in [Codec::G722, Codec::Opus] {
        let mut world = World::new();
        for (n, hz) in TONES.into_iter().enumerate() {
            let phone = world.phone(Codec::Pcmu, hz, |_| {});
            world.bridge(phone, 1);
            assert_eq!(phone, n);
        }
        for _ in 0..3 {
            let phone = world.phone(codec, 300.0, |_| {});
            world.phones[phone].speaks = false;
            world.bridge(phone, 1);
            world.mute(phone);
        }
        // Its peer is latched by its first packet.
        world.frames(50);
        let payloads = |world: &World, phone: usize| -> Vec<Vec<u8>> {
            let heard = &world.phones[phone].heard;
            heard.iter().map(|heard| heard.payload.clone()).collect()
        };
        assert!(payloads(&world, 3).len() > 45, "{codec:?}");
        assert_eq!(payloads(&world, 3)[5..], payloads(&world, 4)[5..]);
        assert_eq!(payloads(&world, 3)[5..], payloads(&world, 5)[5..]);
        world.gain(5, None, None);
        world.gain(0, Some(5), Some(-20.0));
        world.clear();
        world.frames(20);
        assert_eq!(payloads(&world, 3), payloads(&world, 4));
        assert_ne!(payloads(&world, 3), payloads(&world, 5));
    }
}

#[test]
fn all_who_wait_share_one_encoding_of_the_music_in_every_phase_of_the_wheel() {
    let mut music = vec![0; 8_001];
    Tone::new(620.0, -13.0).fill(&mut music);
    let clip = std::sync::Arc::new(Clip::from_pcm8k(music).unwrap());
    for codec in [Codec::G722, Codec::Opus] {
        let mut world = World::new();
        for n in 0..6 {
            let phone = world.phone(codec, 300.0, |_| {});
            world.phones[phone].speaks = false;
            let port = world.port(phone);
            let play = Playback::music(PlayId(n), vec![clip.clone()]);
            world.command(PortCommand::Play { port, play });
        }
        world.frames(60);
        let last = |phone: usize| {
            let heard = &world.phones[phone].heard;
            let end = heard.len() / 4 * 4;
            heard[end - 24..end - 4]
                .iter()
                .map(|heard| heard.payload.clone())
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..6).map(last).collect();
        let shared = |other: &Vec<Vec<u8>>| {
            let same = all[0].iter().filter(|payload| other.contains(payload));
            same.count()
        };
        for other in &all[1..] {
            assert!(shared(other) >= 18, "{codec:?} {}", shared(other));
        }
    }
}
