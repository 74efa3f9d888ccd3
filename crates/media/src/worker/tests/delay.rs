//! From mouth to ear through a room on a clean network, exactly: nothing here waits for a machine.

use clock::{Duration, Now};

use super::world::World;
use crate::{Codec, FRAME};

/// Rooms of three in one worker, whose members send at moments of their own.
struct Rooms {
    world: World,
    /// When in its frame each member sends.
    offsets: Vec<Duration>,
    /// Each packet comes up to so much later.
    jitter: Duration,
    dice: Dice,
    frames: u32,
    /// Of each member: how many of the packets it was sent were read.
    read: Vec<usize>,
    /// Of each room: whose last loud packet it was, when it left, and who has heard it.
    said: Vec<Option<(usize, Now, [bool; 3])>>,
    took: Vec<Duration>,
}

impl Rooms {
    /// So many rooms.
    fn new(rooms: usize, jitter: Duration) -> Self {
        let mut dice = Dice(88_172_645_463_325_252);
        let members = rooms * 3;
        let mut world = World::of(members);
        for n in 0..members {
            let phone = world.phone(Codec::Pcmu, 300.0, |_| {});
            world.bridge(phone, (n / 3) as u32);
        }
        Self {
            world,
            offsets: (0..members).map(|_| dice.roll(FRAME_TIME)).collect(),
            jitter,
            dice,
            frames: 0,
            read: vec![0; members],
            said: vec![None; rooms],
            took: Vec::new(),
        }
    }

    /// Everybody speaks for so many seconds; twice a second one of a room says something loud.
    fn speak(&mut self, seconds: u32) {
        for _ in 0..seconds * 50 {
            let start = Now::ZERO + FRAME_TIME * (self.frames + 1);
            let members = 0..self.offsets.len();
            // In order of their coming: jitter is less than a frame, and nobody overtakes himself.
            let mut packets: Vec<(Now, Now, usize)> = members
                .map(|at| {
                    let left = start + self.offsets[at];
                    (left + self.dice.roll(self.jitter), left, at)
                })
                .collect();
            packets.sort();
            for (comes, left, at) in packets {
                self.pass(comes);
                self.say(at, left);
            }
            self.frames += 1;
        }
    }

    /// Makes the ticks up to `now`.
    fn pass(&mut self, now: Now) {
        while self.world.worker.next_tick() <= now {
            self.world.now = self.world.worker.next_tick();
            self.world.worker.tick(self.world.now);
            self.world.collect();
            (0..self.offsets.len()).for_each(|at| self.hear(at));
        }
        self.world.now = self.world.now.max(now);
    }

    fn say(&mut self, at: usize, left: Now) {
        let loud = self.frames.is_multiple_of(25) && (self.frames / 25) as usize % 3 == at % 3;
        if loud {
            self.said[at / 3] = Some((at, left, [false; 3]));
        }
        let codes = if loud { LOUD } else { HUM };
        let payload: Vec<u8> = (0..FRAME).map(|n| codes[n / 8 % 2]).collect();
        self.world.send(at, 0, &payload);
        let header = &mut self.world.phones[at].header;
        header.time = header.time.plus(FRAME as u32);
    }

    fn hear(&mut self, at: usize) {
        let phone = &self.world.phones[at];
        for heard in phone.heard.iter().skip(self.read[at]) {
            let mut codes = heard.payload.iter();
            if let Some(first) = codes.position(|code| code & 0x7F < LOUD_BELOW)
                && let Some((by, left, who)) = &mut self.said[at / 3]
                && *by != at
                && !std::mem::replace(&mut who[at % 3], true)
            {
                let ear = heard.at + Duration::from_micros(125) * first as u32;
                self.took.push(ear.since(*left));
            }
        }
        self.read[at] = phone.heard.len();
    }

    /// Bridges stay where their first member was.
    fn hold_still(&mut self) {
        for bridge in self.world.worker.bridges.iter_mut().flatten() {
            bridge.looks_at = u64::MAX;
        }
    }

    /// Where on the wheel each room stands.
    fn places(&self) -> Vec<u8> {
        let bridges = self.world.worker.bridges.iter().flatten();
        bridges.map(|bridge| bridge.phase).collect()
    }

    /// Forgets what was heard so far.
    fn forget(&mut self) {
        self.took.clear();
    }

    /// What so many percent of all that was heard took at most, in ms.
    fn took_ms(&self, percent: usize) -> f64 {
        let mut took = self.took.clone();
        took.sort();
        took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3
    }

    /// Frames that were invented for the members' packets.
    fn concealed(&self) -> u64 {
        let members = 0..self.offsets.len();
        members
            .map(|at| u64::from(self.world.stats(at).concealed))
            .sum()
    }
}

/// The same throws every time.
struct Dice(u64);

impl Dice {
    /// Less than `span`, to the microsecond.
    fn roll(&mut self, span: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % (span.as_micros() as u64).max(1))
    }
}

const FRAME_TIME: Duration = Duration::from_millis(20);
/// PCMU of ±31,100 and ±1,500.
const LOUD: [u8; 2] = [0x80, 0x00];
const HUM: [u8; 2] = [0xB0, 0x30];
/// Codes of more than ±20,000.
const LOUD_BELOW: u8 = 0x0B;

#[test]
fn a_room_on_a_clean_network_adds_nine_milliseconds_at_most_and_thirteen_where_it_stands_still() {
    let (mut still, mut rooms) = (
        Rooms::new(60, Duration::ZERO),
        Rooms::new(60, Duration::ZERO),
    );
    still.hold_still();
    for rooms in [&mut still, &mut rooms] {
        rooms.speak(3);
        rooms.forget();
        rooms.speak(12);
        assert_eq!(rooms.took.len(), 60 * 2 * 24, "all of it is heard");
        assert_eq!(rooms.concealed(), 0);
    }
    assert!(rooms.took_ms(50) < 9.0, "{}", rooms.took_ms(50));
    assert!(rooms.took_ms(99) < 22.6, "{}", rooms.took_ms(99));
    let blind = still.took_ms(50);
    assert!((12.0..14.0).contains(&blind), "{blind}");
}

#[test]
fn where_packets_come_up_to_ten_milliseconds_late_the_wait_for_them_stays_and_the_rest_goes() {
    let jitter = Duration::from_millis(10);
    let (mut still, mut rooms) = (Rooms::new(60, jitter), Rooms::new(60, jitter));
    still.hold_still();
    for rooms in [&mut still, &mut rooms] {
        rooms.speak(3);
        rooms.forget();
        rooms.speak(27);
    }
    assert!(rooms.took_ms(50) + 3.0 < still.took_ms(50));
    assert!(rooms.took_ms(50) < 18.0, "{}", rooms.took_ms(50));
    assert!(rooms.took_ms(1) > 10.0, "{}", rooms.took_ms(1));
    assert!(rooms.concealed() <= still.concealed() + 2);
}

#[test]
fn who_hears_a_room_that_moves_has_one_steady_stream_without_a_gap_of_more_than_a_tick_beyond_a_frame()
 {
    let mut rooms = Rooms::new(40, Duration::ZERO);
    let before: Vec<u8> = rooms.places();
    rooms.speak(4);
    let moved = rooms
        .places()
        .iter()
        .zip(&before)
        .filter(|(a, b)| a != b)
        .count();
    assert!(moved > 15, "{moved}");
    for phone in &rooms.world.phones {
        phone.assert_one_steady_stream();
        for pair in phone.heard.windows(2) {
            let gap = pair[1].at.since(pair[0].at).as_millis();
            assert!((5..=25).contains(&gap), "{gap} ms");
        }
    }
}

#[test]
fn not_all_rooms_stand_at_one_place_where_all_members_send_at_one_moment() {
    let mut rooms = Rooms::new(60, Duration::ZERO);
    rooms.offsets.fill(Duration::from_millis(3));
    rooms.speak(4);
    let places = rooms.places();
    for phase in 0..4 {
        let there = places.iter().filter(|&&place| place == phase).count();
        assert!(there <= 30, "{there} of 60 at {phase}");
    }
}
