//! Ports that change their worker in the middle of what they do.

use super::world::World;
use crate::Codec;
use crate::port::{PlayId, Playback, PortId};
use crate::source::Clip;
use crate::worker::{Carriage, Garbage, PortCommand, PortEvent, Refusal};

fn empty() -> Box<Carriage> {
    Carriage::new()
}

fn departed(world: &mut World) -> Box<Carriage> {
    let at = world
        .events
        .iter()
        .position(|event| matches!(event, PortEvent::Departed { .. }));
    match world.events.remove(at.unwrap()) {
        PortEvent::Departed { carriage, .. } => carriage,
        _ => unreachable!(),
    }
}

fn refusals(world: &World) -> Vec<Refusal> {
    let why = |event: &PortEvent| match event {
        PortEvent::Refused { why, .. } => Some(*why),
        _ => None,
    };
    world.events.iter().filter_map(why).collect()
}

/// Moves the first phone of one world, and its port, to the other, where it is called 900 and more.
fn move_first(from: &mut World, to: &mut World) -> usize {
    to.now = from.now;
    let mut phone = from.phones.remove(0);
    let carriage = empty();
    from.command(PortCommand::Depart {
        port: phone.port,
        carriage,
    });
    let carriage = departed(from);
    assert!(carriage.is_loaded());
    let n = to.phones.len();
    phone.port = PortId(900 + n as u32);
    to.phones.push(phone);
    let port = to.port(n);
    to.command(PortCommand::Arrive { port, carriage });
    assert!(to.events.iter().any(
        |event| matches!(event, PortEvent::Garbage(Garbage::Carriage(it)) if !it.is_loaded())
    ));
    n
}

#[test]
fn two_who_talk_move_one_after_the_other_and_each_goes_on_with_one_steady_stream() {
    let mut from = World::bridged(Codec::Pcma, &[500.0, 900.0]);
    let mut to = World::new();
    from.frames(50);
    assert_eq!(from.worker.stats().ports, 2);
    for _ in 0..2 {
        let phone = move_first(&mut from, &mut to);
        to.bridge(phone, 7);
    }
    assert_eq!((from.worker.stats().ports, to.worker.stats().ports), (0, 2));
    assert_eq!(from.worker.stats().bridges, 0);
    to.frames(50);
    for (phone, hz) in [(0, 900.0), (1, 500.0)] {
        let phone = &to.phones[phone];
        phone.assert_one_steady_stream();
        assert!(phone.hears(hz, 10), "before and after");
        assert!(phone.heard.len() >= 95, "{}", phone.heard.len());
    }
}

#[test]
fn what_is_played_goes_on_where_it_was_and_its_end_is_told_by_the_new_name() {
    let (mut from, mut to) = (World::new(), World::new());
    from.phone(Codec::Pcmu, 500.0, |_| {});
    let port = from.port(0);
    let clip = Clip::from_pcm8k((0..16_000).map(|n| (n * 37) as i16).collect()).unwrap();
    from.command(PortCommand::Play {
        port,
        play: Playback::once(PlayId(3), vec![clip.into()]),
    });
    from.frames(50);
    move_first(&mut from, &mut to);
    to.frames(60);
    assert_eq!(to.played(), [(PlayId(3), true)]);
    assert!(from.played().is_empty());
    assert_eq!(to.phones[0].heard.len(), 100, "two seconds, no frame twice");
    to.phones[0].assert_one_steady_stream();
}

#[test]
fn what_cannot_move_stays_and_every_box_comes_back() {
    let mut world = World::new();
    world.phone(Codec::Pcma, 500.0, |_| {});
    let (port, nobody) = (world.port(0), PortId(7));
    world.command(PortCommand::Depart {
        port: nobody,
        carriage: empty(),
    });
    world.command(PortCommand::Arrive {
        port: nobody,
        carriage: empty(),
    });
    world.command(PortCommand::Depart {
        port,
        carriage: empty(),
    });
    let loaded = departed(&mut world);
    world.phone(Codec::Pcma, 700.0, |_| {});
    let other = world.port(1);
    world.command(PortCommand::Depart {
        port: other,
        carriage: loaded,
    });
    let wanted = [
        Refusal::NoSuchPort,
        Refusal::NoSuchPort,
        Refusal::CarriageTaken,
    ];
    assert_eq!(refusals(&world), wanted);
    let carriages = world
        .events
        .iter()
        .filter(|event| matches!(event, PortEvent::Garbage(Garbage::Carriage(_))));
    assert_eq!(carriages.count(), 3);
    assert_eq!(world.worker.stats().ports, 1);
}
