//! What a phone hears: its partner, the others, a clip, music, silence; and never itself.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::World;
use crate::codec::{Decoder, Encoder};
use crate::port::{PlayId, Playback, PortUpdate, Remote, Security};
use crate::source::Clip;
use crate::tap::Tap;
use crate::worker::{PortCommand, PortEvent};
use crate::{Codec, FRAME, SILENCE};

fn clip(samples: Vec<i16>) -> Arc<Clip> {
    Arc::new(Clip::from_pcm8k(samples).unwrap())
}

fn tone(hz: f32, samples: usize) -> Vec<i16> {
    let mut out = vec![0; samples];
    crate::dsp::Tone::new(hz, -13.0).fill(&mut out);
    out
}

fn play(world: &mut World, phone: usize, play: Box<Playback>) {
    let port = world.port(phone);
    world.command(PortCommand::Play { port, play });
}

fn relayed(world: &World, phone: usize) -> u64 {
    world
        .worker
        .port(world.worker.index.get(world.port(phone).0).unwrap())
        .unwrap()
        .stats
        .relayed
}

#[test]
fn two_phones_of_one_codec_hear_each_other_undecoded_and_never_themselves() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(50);
    let [a, b] = &world.phones[..] else { panic!() };
    assert!(a.hears(1_000.0, 0) && b.hears(440.0, 0));
    assert!(!a.hears(440.0, 0) && !b.hears(1_000.0, 0));
    a.assert_one_steady_stream();
    b.assert_one_steady_stream();
    assert_eq!((relayed(&world, 0), relayed(&world, 1)), (50, 50));
}

#[test]
fn two_phones_of_different_codecs_hear_each_other_within_five_frames() {
    let mut world = World::new();
    for (codec, hz) in [(Codec::Pcma, 440.0), (Codec::Pcmu, 1_000.0)] {
        let phone = world.phone(codec, hz, |_| {});
        world.bridge(phone, 1);
    }
    world.frames(100);
    let [a, b] = &world.phones[..] else { panic!() };
    assert!(a.hears(1_000.0, 5) && b.hears(440.0, 5));
    assert!(!a.hears(440.0, 5) && !b.hears(1_000.0, 5));
    assert!(a.heard.len() >= 99 && b.heard.len() >= 99);
    a.assert_one_steady_stream();
    b.assert_one_steady_stream();
    assert_eq!(relayed(&world, 0), 0);
}

#[test]
fn in_a_conference_everyone_hears_all_the_others() {
    let tones = [440.0, 620.0, 1_000.0, 1_500.0];
    let mut world = World::bridged(Codec::Pcmu, &tones);
    world.frames(60);
    for (listener, phone) in world.phones.iter().enumerate() {
        for (speaker, &hz) in tones.iter().enumerate() {
            assert_eq!(
                phone.hears(hz, 5),
                listener != speaker,
                "{listener} hears {hz}"
            );
        }
        phone.assert_one_steady_stream();
    }
}

#[test]
fn a_third_phone_joins_and_leaves_and_the_streams_stay_whole() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(20);
    let third = world.phone(Codec::Pcma, 1_500.0, |_| {});
    world.bridge(third, 1);
    world.frames(40);
    assert!(world.phones[0].hears(1_500.0, 30) && world.phones[2].hears(440.0, 5));
    let port = world.port(third);
    world.command(PortCommand::Unbridge { port });
    let before = relayed(&world, 0);
    world.frames(20);
    assert!(relayed(&world, 0) >= before + 19, "two are relayed again");
    world
        .phones
        .iter()
        .for_each(|phone| phone.assert_one_steady_stream());
}

#[test]
fn a_clip_is_heard_to_the_last_sample_and_told_as_played() {
    let mut world = World::new();
    world.phone(Codec::Pcmu, 440.0, |_| {});
    let parts = [tone(1_000.0, 250), tone(620.0, 3), tone(1_500.0, 401)];
    let mut wanted = parts.concat();
    wanted.resize(wanted.len().next_multiple_of(FRAME), 0);
    play(
        &mut world,
        0,
        Playback::once(PlayId(7), parts.map(clip).to_vec()),
    );
    world.frames(20);
    let heard: Vec<u8> = world.phones[0]
        .heard
        .iter()
        .flat_map(|heard| heard.payload.clone())
        .collect();
    let mut encoded = vec![0; wanted.len()];
    Encoder::new(Codec::Pcmu).encode(&wanted, &mut encoded);
    assert_eq!(heard, encoded);
    assert_eq!(world.played(), [(PlayId(7), true)]);
    assert_eq!(world.garbage(), ["playback"]);
    world.phones[0].assert_one_steady_stream();
    let markers: Vec<bool> = world.phones[0]
        .heard
        .iter()
        .map(|h| h.header.marker)
        .collect();
    assert_eq!(markers, [true, false, false, false, false]);
}

#[test]
fn a_stopped_playback_is_silent_within_a_tick_and_one_that_ended_before_is_no_error() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    play(
        &mut world,
        0,
        Playback::once(PlayId(1), vec![clip(tone(440.0, 80_000))]),
    );
    world.frames(10);
    let (port, heard) = (world.port(0), world.phones[0].heard.len());
    world.command(PortCommand::Stop {
        port,
        play: PlayId(1),
    });
    world.command(PortCommand::Stop {
        port,
        play: PlayId(1),
    });
    world.frames(10);
    assert_eq!(world.phones[0].heard.len(), heard);
    assert_eq!(world.played(), [(PlayId(1), false)]);
    assert!(
        !world
            .events
            .iter()
            .any(|event| matches!(event, PortEvent::Refused { .. }))
    );
}

#[test]
fn a_new_playback_takes_the_place_of_the_old_one_without_a_gap() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    play(
        &mut world,
        0,
        Playback::once(PlayId(1), vec![clip(tone(440.0, 80_000))]),
    );
    world.frames(10);
    play(
        &mut world,
        0,
        Playback::once(PlayId(2), vec![clip(tone(1_000.0, 1_600))]),
    );
    world.frames(12);
    assert_eq!(world.played(), [(PlayId(1), false), (PlayId(2), true)]);
    assert_eq!(world.phones[0].heard.len(), 20);
    world.phones[0].assert_one_steady_stream();
}

#[test]
fn all_who_wait_hear_the_same_music_at_the_same_place_in_their_own_codec() {
    let mut world = World::new();
    let music = clip((0..8_123).map(|n| (n * 7 % 20_000) as i16).collect());
    for codec in [Codec::Pcma, Codec::Pcmu, Codec::Pcma] {
        let phone = world.phone(codec, 440.0, |_| {});
        play(
            &mut world,
            phone,
            Playback::music(PlayId(1), vec![Arc::clone(&music)]),
        );
        world.frames(17);
    }
    world.clear();
    world.frames(30);
    for phone in &world.phones {
        let sound = phone.sound();
        let first = phone.heard[0].at.as_millis() / 20 * 160;
        for (n, &sample) in sound.iter().enumerate() {
            let want = ((first + n as u64) % 8_123 * 7 % 20_000) as i32;
            assert!(
                (i32::from(sample) - want).abs() <= 16 + want / 30,
                "sample {n} of {first}"
            );
        }
    }
}

#[test]
fn music_then_a_partner_then_a_prompt_are_one_stream_to_the_listener() {
    let mut world = World::new();
    let caller = world.phone(Codec::Pcma, 440.0, |_| {});
    play(
        &mut world,
        caller,
        Playback::music(PlayId(1), vec![clip(tone(620.0, 8_000))]),
    );
    world.frames(25);
    let agent = world.phone(Codec::Pcma, 1_000.0, |_| {});
    world.frames(1);
    let port = world.port(caller);
    world.command(PortCommand::Stop {
        port,
        play: PlayId(1),
    });
    world.bridge(caller, 5);
    world.bridge(agent, 5);
    world.frames(25);
    play(
        &mut world,
        caller,
        Playback::once(PlayId(2), vec![clip(tone(1_500.0, 3_200))]),
    );
    world.frames(30);
    let caller = &world.phones[caller];
    assert!(caller.hears(1_000.0, caller.heard.len() - 5));
    caller.assert_one_steady_stream();
    let markers = caller
        .heard
        .iter()
        .filter(|heard| heard.header.marker)
        .count();
    assert_eq!(
        markers, 4,
        "music, the partner, the prompt, the partner again"
    );
    assert!(caller.heard.len() >= 80);
}

#[test]
fn a_prompt_into_a_conversation_is_heard_with_the_partner_and_only_by_its_listener() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(10);
    play(
        &mut world,
        0,
        Playback::once(PlayId(2), vec![clip(tone(1_500.0, 16_000))]),
    );
    world.frames(10);
    world.clear();
    world.frames(50);
    let [a, b] = &world.phones[..] else { panic!() };
    assert!(a.hears(1_000.0, 0) && a.hears(1_500.0, 0));
    assert!(b.hears(440.0, 0) && !b.hears(1_500.0, 0));
}

#[test]
fn hold_silences_one_direction_and_resume_brings_it_back() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(10);
    let update = |world: &World, send, receive| PortUpdate {
        port: world.port(1),
        remote: Some(Remote::of(world.phones[1].address, false)),
        codec: Codec::Pcma,
        coding: crate::codec::Coding::new(Codec::Pcma),
        payload_type: 8,
        keys_elsewhere: false,
        dtmf_payload_type: Some(102),
        dtmf_clock_rate: 8_000,
        cn_payload_type: None,
        send,
        receive,
        rtcp_mux: false,
        security: Security::Plain,
        ptime_ms: 20,
    };
    let hold = update(&world, false, false);
    world.command(PortCommand::Update(Box::new(hold)));
    world.clear();
    world.frames(20);
    assert!(
        world.phones[1].heard.is_empty(),
        "nothing is sent to who holds"
    );
    assert!(
        !world.phones[0].hears(1_000.0, 5),
        "what the holder says is dropped"
    );
    assert_eq!(
        world.phones[0].heard.len(),
        20,
        "the other's stream goes on, as silence"
    );
    let resume = update(&world, true, true);
    world.command(PortCommand::Update(Box::new(resume)));
    world.clear();
    world.frames(20);
    let [a, b] = &world.phones[..] else { panic!() };
    assert!(a.hears(1_000.0, 0) && b.hears(440.0, 0));
    a.assert_one_steady_stream();
}

#[test]
fn a_recording_of_a_relayed_call_has_both_sides_and_leaves_the_relay_alone() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let (tap, mut reader) = Tap::new(8_000, 100);
    let port = world.port(0);
    world.command(PortCommand::Tap { port, tap });
    world.frames(50);
    assert_eq!(relayed(&world, 0), 50);
    let meter = || crate::dsp::ToneMeter::new(&[440.0, 1_000.0], -30.0);
    let mut meters = [meter(), meter()];
    let mut index = 0;
    while let Ok(frame) = reader.pop() {
        assert_eq!(frame.index, index);
        index += 1;
        meters[0].measure(&frame.left);
        meters[1].measure(&frame.right);
    }
    assert_eq!(index, 50);
    let frames = |side: usize, hz| meters[side].track(hz).unwrap().frames_present;
    assert!(frames(0, 440.0) > 45 && frames(1, 1_000.0) > 45);
    assert_eq!((frames(0, 1_000.0), frames(1, 440.0)), (0, 0));
    world.command(PortCommand::Untap { port });
    assert_eq!(world.garbage(), ["tap"]);
}

#[test]
fn what_a_late_worker_left_out_is_a_hole_of_its_length_in_the_recording() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let (tap, mut reader) = Tap::new(8_000, 100);
    let port = world.port(0);
    world.command(PortCommand::Tap { port, tap });
    world.frames(10);
    world.now += clock::Duration::from_millis(500);
    world.frames(10);
    let frames: Vec<u64> = std::iter::from_fn(|| Some(reader.pop().ok()?.index)).collect();
    let left_out = frames.iter().zip(frames.iter().skip(1));
    let holes: Vec<u64> = left_out
        .map(|(a, b)| b - a - 1)
        .filter(|it| *it > 0)
        .collect();
    let [hole] = holes[..] else {
        panic!("{frames:?}")
    };
    assert!((23..=25).contains(&hole), "{frames:?}");
}

#[test]
fn an_hour_of_a_call_is_an_hour_of_frames_whatever_its_phones_clocks_say() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let (tap, mut reader) = Tap::new(8_000, 200);
    let port = world.port(0);
    world.command(PortCommand::Tap { port, tap });
    let (mut next, begun) = (0, world.now);
    for second in 0..3_600 {
        // A party that goes away now and then, and comes back.
        world.phones[1].speaks = second % 60 < 50;
        world.frames(50);
        world.clear();
        while let Ok(frame) = reader.pop() {
            assert_eq!(frame.index, next);
            next += 1;
        }
    }
    assert_eq!(world.now - begun, clock::Duration::from_secs(3_600));
    assert!((180_000 - 1..=180_000).contains(&next), "{next}");
}

#[test]
fn a_recording_of_a_menu_has_the_prompt_on_the_right() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    let (tap, mut reader) = Tap::new(8_000, 100);
    let port = world.port(0);
    world.command(PortCommand::Tap { port, tap });
    let prompt = tone(1_000.0, 1_600);
    play(
        &mut world,
        0,
        Playback::once(PlayId(1), vec![clip(prompt.clone())]),
    );
    world.frames(12);
    let frames: Vec<_> = std::iter::from_fn(|| reader.pop().ok()).collect();
    let right: Vec<i16> = frames.iter().flat_map(|frame| frame.right).collect();
    let mut payload = vec![0; prompt.len()];
    Encoder::new(Codec::Pcma).encode(&prompt, &mut payload);
    let mut wanted = vec![0; prompt.len()];
    Decoder::new(Codec::Pcma).decode(&payload, &mut wanted);
    wanted.resize(right.len(), 0);
    assert_eq!(right, wanted);
    assert!(frames.iter().skip(5).all(|frame| frame.left != SILENCE));
}

#[test]
fn a_caller_of_tick_who_comes_late_sends_no_burst_and_the_loss_is_counted() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 440.0, |_| {});
    play(
        &mut world,
        0,
        Playback::music(PlayId(1), vec![clip(tone(440.0, 8_000))]),
    );
    world.frames(5);
    world.now += clock::Duration::from_millis(500);
    world.clear();
    world.worker.tick(world.now);
    world.collect();
    assert_eq!(world.phones[0].heard.len(), 1);
    assert_eq!(world.worker.stats().ticks_missed, 96);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a worker is asked in whatever order, each listener's stream keeps its law, and the
    /// boxes that went in come out.
    #[test]
    fn any_order_of_commands_keeps_every_stream_steady_and_returns_every_box(
        steps in prop::collection::vec((0_u8..9, 0_usize..3, 1_usize..6), 1..60),
    ) {
        let mut world = World::new();
        for (codec, hz) in [(Codec::Pcma, 440.0), (Codec::Pcma, 620.0), (Codec::Pcmu, 1_000.0)] {
            world.phone(codec, hz, |_| {});
        }
        let sound = clip(tone(1_500.0, 1_000));
        let (mut boxes, mut taps) = (0, Vec::new());
        for (step, phone, frames) in steps {
            let port = world.port(phone);
            match step {
                0..=2 => world.bridge(phone, u32::from(step)),
                3 => world.command(PortCommand::Unbridge { port }),
                4 | 5 => {
                    let mut playback = Playback::once(PlayId(1), vec![Arc::clone(&sound)]);
                    playback.repeat = step == 5;
                    boxes += 1;
                    play(&mut world, phone, playback);
                }
                6 => world.command(PortCommand::Stop { port, play: PlayId(1) }),
                7 => {
                    let (tap, reader) = Tap::new(8_000, 10);
                    taps.push(reader);
                    boxes += 1;
                    world.command(PortCommand::Tap { port, tap });
                }
                _ => {
                    boxes += 1;
                    let digits = Box::new([crate::Digit::from_char('5').unwrap()]);
                    world.command(PortCommand::SendDigits { port, digits, duration_ms: 60 });
                }
            }
            world.frames(frames);
        }
        for phone in 0..3 {
            let port = world.port(phone);
            world.command(PortCommand::Close { port });
        }
        prop_assert_eq!(world.garbage().len(), boxes + 3);
        let stats = world.worker.stats();
        prop_assert_eq!((stats.ports, stats.bridges), (0, 0));
        for phone in &world.phones {
            for pair in phone.heard.windows(2) {
                let (a, b) = (&pair[0].header, &pair[1].header);
                prop_assert_eq!(b.sequence.ahead_of(a.sequence), 1);
                prop_assert_eq!(a.ssrc, b.ssrc);
                prop_assert!(b.time.ahead_of(a.time) >= 0 || a.payload_type > 95 || b.payload_type > 95);
            }
        }
    }
}
