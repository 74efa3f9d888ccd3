//! Rooms on a table: what is asked, and what is to be done.

use clock::Now;

use super::{Ask, Away, Conferences, GAINS_MAX, NotDone, Output, RoomId, Terms, check_name};
use crate::call::{CallId, Prompt};

const ROOM: RoomId = RoomId(1);

fn call(n: u64) -> CallId {
    CallId(n)
}

/// A room "r" with those members, and nothing to be done.
fn room(members: u64, terms: Terms) -> Conferences {
    let mut rooms = Conferences::default();
    for n in 1..=members {
        rooms.join(Now::ZERO, call(n), "r", terms.clone());
    }
    done(&mut rooms);
    rooms
}

fn mute_ask(on: bool) -> Ask {
    Ask::Mute { call: call(1), on }
}

fn done(rooms: &mut Conferences) -> Vec<Output> {
    std::iter::from_fn(|| rooms.poll_output()).collect()
}

fn enter(n: u64, muted: bool) -> Output {
    Output::Enter {
        call: call(n),
        room: ROOM,
        muted,
    }
}

fn away(n: u64, why: Away) -> Output {
    Output::Away { call: call(n), why }
}

#[test]
fn a_room_is_made_by_its_first_member_and_ends_with_its_last() {
    let mut rooms = Conferences::default();
    for n in [1, 2] {
        rooms.join(Now::ZERO, call(n), "r", Terms::default());
    }
    assert_eq!(done(&mut rooms), [enter(1, false), enter(2, false)]);
    assert_eq!(rooms.room("r").unwrap().members.len(), 2);
    rooms.leave(call(1));
    assert_eq!(done(&mut rooms), []);
    rooms.leave(call(2));
    rooms.leave(call(2));
    assert_eq!(done(&mut rooms), [Output::Ended { room: ROOM }]);
    assert!(rooms.room("r").is_none() && rooms.room_of(call(2)).is_none());
    rooms.join(Now::ZERO, call(3), "r", Terms::default());
    assert_ne!(rooms.room("r").unwrap().id, ROOM, "another one");
}

#[test]
fn a_full_and_a_locked_room_let_nobody_in() {
    let terms = Terms {
        members_max: 2,
        ..Terms::default()
    };
    let mut rooms = room(2, terms.clone());
    let larger = Terms {
        members_max: 9,
        ..terms.clone()
    };
    rooms.join(Now::ZERO, call(3), "r", larger);
    assert_eq!(done(&mut rooms), [away(3, Away::Full)]);
    rooms.leave(call(2));
    rooms.ask("r", Ask::Lock(true)).unwrap();
    rooms.join(Now::ZERO, call(3), "r", terms.clone());
    assert_eq!(done(&mut rooms), [away(3, Away::Locked)]);
    rooms.ask("r", Ask::Lock(false)).unwrap();
    rooms.join(Now::ZERO, call(3), "r", terms);
    assert_eq!(done(&mut rooms), [enter(3, false)]);
    assert_eq!(rooms.ask("s", Ask::Lock(true)), Err(NotDone::NoRoom));
}

#[test]
fn members_who_wait_hear_the_room_when_its_moderator_comes_and_after_he_has_gone() {
    let waits = Terms {
        waits: true,
        muted: true,
        ..Terms::default()
    };
    let mut rooms = room(0, waits.clone());
    for n in [1, 2] {
        rooms.join(Now::ZERO, call(n), "r", waits.clone());
    }
    let wait = |n| Output::Wait { call: call(n) };
    assert_eq!(done(&mut rooms), [wait(1), wait(2)]);
    assert_eq!(
        rooms.ask("r", Ask::Announce(Vec::new())),
        Err(NotDone::Empty)
    );
    let moderator = Terms {
        moderator: true,
        waits: true,
        ..Terms::default()
    };
    rooms.join(Now::ZERO, call(9), "r", moderator);
    let wanted = [enter(9, false), enter(1, true), enter(2, true)];
    assert_eq!(done(&mut rooms), wanted);
    rooms.join(Now::ZERO, call(3), "r", waits);
    assert_eq!(done(&mut rooms), [enter(3, true)]);
    rooms.leave(call(9));
    assert_eq!(done(&mut rooms), [], "nobody is sent back to the music");
}

#[test]
fn muting_and_putting_out_are_told_once_and_of_members_alone() {
    let mut rooms = room(2, Terms::default());
    rooms.ask("r", mute_ask(true)).unwrap();
    rooms.ask("r", mute_ask(true)).unwrap();
    let mute = |on| Output::Mute { call: call(1), on };
    assert_eq!(done(&mut rooms), [mute(true)]);
    rooms.say_again(call(1));
    assert_eq!(done(&mut rooms), [mute(true)], "its new leg is muted too");
    rooms.ask("r", mute_ask(false)).unwrap();
    rooms.ask("r", Ask::Remove { call: call(1) }).unwrap();
    assert_eq!(done(&mut rooms), [mute(false), away(1, Away::Removed)]);
    assert_eq!(rooms.ask("r", mute_ask(true)), Err(NotDone::NoMember));
    assert_eq!(
        rooms.ask("s", Ask::Remove { call: call(2) }),
        Err(NotDone::NoRoom)
    );
}

#[test]
fn a_recording_begins_with_the_first_who_hears_the_room_and_ends_with_the_last() {
    let terms = Terms {
        record: true,
        ..Terms::default()
    };
    let record = |on| Output::Record {
        room: ROOM,
        name: "r".to_owned(),
        on,
    };
    let mut rooms = Conferences::default();
    for n in [1, 2] {
        rooms.join(Now::ZERO, call(n), "r", terms.clone());
    }
    let wanted = [enter(1, false), record(true), enter(2, false)];
    assert_eq!(done(&mut rooms), wanted);
    rooms.ask("r", Ask::Record(true)).unwrap();
    assert_eq!(done(&mut rooms), [], "it runs already");
    rooms.ask("r", Ask::Record(false)).unwrap();
    rooms.ask("r", Ask::Record(true)).unwrap();
    assert_eq!(done(&mut rooms), [record(false), record(true)]);
    rooms.leave(call(1));
    rooms.leave(call(2));
    let wanted = [record(false), Output::Ended { room: ROOM }];
    assert_eq!(done(&mut rooms), wanted);
}

#[test]
fn those_inside_are_told_who_comes_and_who_goes() {
    let tone = |name: &str| Prompt::Tone(name.to_owned());
    let terms = Terms {
        on_enter: Some(tone("in")),
        on_leave: Some(tone("out")),
        ..Terms::default()
    };
    let announce = |name| Output::Announce {
        room: ROOM,
        items: vec![tone(name)],
    };
    let mut rooms = Conferences::default();
    rooms.join(Now::ZERO, call(1), "r", terms.clone());
    rooms.join(Now::ZERO, call(2), "r", terms);
    let wanted = [enter(1, false), enter(2, false), announce("in")];
    assert_eq!(done(&mut rooms), wanted, "the first hears nobody come");
    rooms.leave(call(1));
    assert_eq!(done(&mut rooms), [announce("out")]);
    rooms.leave(call(2));
    assert_eq!(done(&mut rooms), [Output::Ended { room: ROOM }]);
}

#[test]
fn gains_are_between_two_who_are_inside_bounded_and_forgotten_with_either() {
    let mut rooms = room(40, Terms::default());
    let pair = |from, to, db| Ask::Gain {
        from: call(from),
        to: call(to),
        db,
    };
    let gain = |from, to, db| Output::Gain {
        from: call(from),
        to: call(to),
        db,
    };
    rooms.ask("r", pair(1, 2, Some(-6.0))).unwrap();
    rooms.say_again(call(2));
    rooms.ask("r", pair(1, 2, None)).unwrap();
    let wanted = [
        gain(1, 2, Some(-6.0)),
        gain(1, 2, Some(-6.0)),
        gain(1, 2, None),
    ];
    assert_eq!(done(&mut rooms), wanted);
    for (from, to) in [(1, 99), (99, 1), (1, 1)] {
        let refused = rooms.ask("r", pair(from, to, Some(0.0)));
        assert_eq!(refused, Err(NotDone::NoMember));
    }
    for to in 2..GAINS_MAX as u64 + 2 {
        rooms.ask("r", pair(1, to, Some(0.0))).unwrap();
    }
    assert_eq!(
        rooms.ask("r", pair(2, 1, Some(0.0))),
        Err(NotDone::GainsFull)
    );
    rooms.ask("r", pair(1, 2, Some(3.0))).unwrap();
    rooms.leave(call(2));
    assert_eq!(rooms.room("r").unwrap().gains.len(), GAINS_MAX - 1);
    rooms.leave(call(1));
    assert!(rooms.room("r").unwrap().gains.is_empty());
}

#[test]
fn a_name_that_could_not_be_a_file_or_a_path_is_none() {
    for name in ["4711", "stand-up", "a.b_c", "+31"] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    let long = "x".repeat(65);
    for name in ["", ".", "..", "a/b", "a b", "ö", long.as_str()] {
        assert!(check_name(name).is_err(), "{name}");
    }
}
