//! A port on its way through a voice thread: what others hear of it, and what the thread gets.

use super::world::World;
use crate::Codec;
use crate::tap::{Processed, VoiceEnd, VoiceTap};
use crate::worker::PortCommand;

/// A voice thread that lets nothing pass, for so many frames.
fn hush(world: &mut World, end: &mut VoiceEnd, frames: u32) -> i16 {
    let mut sent = 0;
    for _ in 0..frames {
        world.frames(1);
        while let Ok(frame) = end.tap.pop() {
            sent = sent.max(frame.right.iter().copied().max().unwrap_or(0));
            let (index, samples) = (frame.index, [0; 160]);
            let _ = end.back.push(Processed { index, samples });
        }
    }
    sent
}

fn missed(world: &World, phone: usize) -> u32 {
    let at = world.worker.index.get(world.port(phone).0).unwrap();
    world.worker.port(at).unwrap().stats.detour_missed
}

#[test]
fn on_a_detour_others_hear_what_came_back_and_off_it_the_voice_as_it_is() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    world.frames(20);
    let port = world.port(0);
    let (tap, mut end) = VoiceTap::detour();
    world.command(PortCommand::Voice { port, tap });
    let sent = hush(&mut world, &mut end, 40);
    let heard = |world: &World, phone: usize, hz: f32| {
        let frames = world.phones[phone].heard.len();
        world.phones[phone].hears(hz, frames - 15)
    };
    assert!(!heard(&world, 1, 440.0), "it was hushed");
    assert!(heard(&world, 0, 1_000.0), "the other way is as it was");
    assert!(sent > 3_000, "the reference is what is sent: {sent}");
    assert!(missed(&world, 0) <= 1);
    // The thread is gone: its leg is heard as it is, and that is counted.
    drop(end);
    world.frames(40);
    assert!(heard(&world, 1, 440.0) && heard(&world, 0, 1_000.0));
    assert!(missed(&world, 0) >= 39, "{}", missed(&world, 0));
    world.command(PortCommand::Unvoice { port });
    let before = missed(&world, 0);
    world.frames(40);
    assert!(heard(&world, 1, 440.0));
    assert_eq!(missed(&world, 0), before);
    world
        .phones
        .iter()
        .for_each(|phone| phone.assert_one_steady_stream());
}

#[test]
fn a_voice_thread_that_only_listens_leaves_the_relay_as_it_is() {
    let mut world = World::bridged(Codec::Pcma, &[440.0, 1_000.0]);
    let port = world.port(0);
    let (tap, mut end) = VoiceTap::tap();
    world.command(PortCommand::Voice { port, tap });
    let sent = hush(&mut world, &mut end, 50);
    let at = world.worker.index.get(port.0).unwrap();
    assert_eq!(world.worker.port(at).unwrap().stats.relayed, 50);
    assert!(world.phones[1].hears(440.0, 5) && sent > 3_000);
}
