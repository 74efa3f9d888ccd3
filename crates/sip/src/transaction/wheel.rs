//! A hierarchical timing wheel: the one place where the user agent's timers wait.
//!
//! Six levels of 64 slots, one tick a millisecond: scheduling, cancelling and expiring cost the same
//! whatever is pending. A timer never fires early; it fires at most one tick late. Timers of one tick
//! fire in the order in which they were scheduled, so a run can be repeated exactly.

use clock::{Duration, Now};

/// Names one scheduled timer. A name outlives its timer harmlessly: cancelling it again does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Timers with keys of type `K`, ordered by their due time.
#[derive(Debug)]
pub struct Wheel<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    levels: [Level; LEVELS],
    due: List,
    /// Every slot up to this tick has been emptied into `due`.
    elapsed: u64,
    len: usize,
    /// The generation of a new node: above that of any node that was given back.
    born: u32,
}

impl<K: Copy> Wheel<K> {
    /// Makes an empty wheel at the clock's start.
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: NIL,
            levels: [Level::EMPTY; LEVELS],
            due: List::EMPTY,
            elapsed: 0,
            len: 0,
            born: 0,
        }
    }

    /// Schedules `key` for `at`, rounded up to the next millisecond.
    pub fn schedule(&mut self, at: Now, key: K) -> TimerId {
        let tick = ticks_up(at);
        let index = self.take_free(key, tick);
        self.place(index);
        self.len += 1;
        TimerId {
            index,
            generation: self.nodes[index as usize].generation,
        }
    }

    /// Forgets a timer; one that fired or was cancelled already is ignored.
    pub fn cancel(&mut self, timer: TimerId) {
        let live = self
            .nodes
            .get(timer.index as usize)
            .is_some_and(|node| node.generation == timer.generation && node.key.is_some());
        if live {
            self.unlink(timer.index);
            self.release(timer.index);
        }
    }

    /// Takes the next timer that is due at `now`, `None` when all of them have been taken.
    pub fn expire(&mut self, now: Now) -> Option<K> {
        self.advance(now.as_millis());
        let index = self.due.head;
        if index == NIL {
            return None;
        }
        let key = self.nodes[index as usize].key;
        self.unlink(index);
        self.release(index);
        key
    }

    /// When to call [`Wheel::expire`] next: never after the first timer's time. It may name an earlier
    /// time, at which far timers move to a finer level; that happens at most five times for a timer.
    pub fn deadline(&self) -> Option<Now> {
        if self.due.head != NIL {
            return Some(from_ticks(self.elapsed));
        }
        self.next_slot().map(|(_, _, tick)| from_ticks(tick))
    }

    /// How many timers wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn advance(&mut self, tick: u64) {
        while let Some((level, slot, at)) = self.next_slot() {
            if at > tick {
                break;
            }
            self.elapsed = self.elapsed.max(at);
            // Emptied from the head, so timers of one tick keep their order on each level.
            loop {
                let index = self.levels[level].slots[slot].head;
                if index == NIL {
                    break;
                }
                self.unlink(index);
                self.place(index);
            }
        }
        self.elapsed = self.elapsed.max(tick);
    }

    /// The first occupied slot: its level, its number and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // A finer level always ends before the next slot of a coarser one begins.
        self.levels.iter().enumerate().find_map(|(level, wheel)| {
            if wheel.occupied == 0 {
                return None;
            }
            let shift = SLOT_BITS * level as u32;
            let here = (self.elapsed >> shift) & SLOT_MASK;
            let ahead = u64::from(wheel.occupied.rotate_right(here as u32).trailing_zeros());
            let slot = (here + ahead) & SLOT_MASK;
            let turn = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS << shift;
            let mut at = turn + (slot << shift);
            if at < self.elapsed && ahead != 0 {
                at += 1 << (shift + SLOT_BITS);
            }
            Some((level, slot as usize, at))
        })
    }

    /// Links a node whose `tick` is set into the list where it belongs at `elapsed`.
    fn place(&mut self, index: u32) {
        let tick = self.nodes[index as usize].tick;
        let place = if tick <= self.elapsed {
            Place::Due
        } else {
            let differs = (self.elapsed ^ tick) | SLOT_MASK;
            let level = ((63 - differs.leading_zeros()) / SLOT_BITS) as usize;
            let level = level.min(LEVELS - 1);
            let slot = (tick >> (SLOT_BITS * level as u32)) & SLOT_MASK;
            Place::Slot {
                level: level as u8,
                slot: slot as u8,
            }
        };
        let tail = self.list(place).tail;
        let node = &mut self.nodes[index as usize];
        node.place = place;
        node.previous = tail;
        node.next = NIL;
        if tail == NIL {
            self.list(place).head = index;
        } else {
            self.nodes[tail as usize].next = index;
        }
        self.list(place).tail = index;
        if let Place::Slot { level, slot } = place {
            self.levels[level as usize].occupied |= 1 << slot;
        }
    }

    fn unlink(&mut self, index: u32) {
        let node = &self.nodes[index as usize];
        let (place, previous, next) = (node.place, node.previous, node.next);
        match previous {
            NIL => self.list(place).head = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NIL => self.list(place).tail = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        if let Place::Slot { level, slot } = place
            && self.list(place).head == NIL
        {
            self.levels[level as usize].occupied &= !(1 << slot);
        }
    }

    fn list(&mut self, place: Place) -> &mut List {
        match place {
            Place::Due => &mut self.due,
            Place::Slot { level, slot } => &mut self.levels[level as usize].slots[slot as usize],
        }
    }

    fn take_free(&mut self, key: K, tick: u64) -> u32 {
        // A timer further off than the wheel turns (two years) waits for its end.
        let tick = tick.min(self.elapsed + (1 << (SLOT_BITS * LEVELS as u32)) - 1);
        if self.free == NIL {
            let index = self.nodes.len() as u32;
            self.nodes.push(Node {
                key: Some(key),
                tick,
                generation: self.born,
                previous: NIL,
                next: NIL,
                place: Place::Due,
            });
            return index;
        }
        let index = self.free;
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        node.key = Some(key);
        node.tick = tick;
        index
    }

    fn release(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.key = None;
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free;
        self.free = index;
        self.len -= 1;
        if self.len == 0 && self.nodes.len() > KEPT {
            // A flood of timers is over: its memory goes back.
            let nodes = std::mem::take(&mut self.nodes);
            let newest = nodes.iter().map(|node| node.generation).max();
            self.born = newest.unwrap_or(self.born);
            self.free = NIL;
        }
    }
}

impl<K: Copy> Default for Wheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Node<K> {
    key: Option<K>,
    tick: u64,
    generation: u32,
    previous: u32,
    next: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Due,
    Slot { level: u8, slot: u8 },
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
    };
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Bit `n` is set while slot `n` holds a timer.
    occupied: u64,
    slots: [List; SLOTS],
}

impl Level {
    const EMPTY: Self = Self {
        occupied: 0,
        slots: [List::EMPTY; SLOTS],
    };
}

fn ticks_up(at: Now) -> u64 {
    at.as_nanos().div_ceil(1_000_000)
}

fn from_ticks(ticks: u64) -> Now {
    Now::ZERO + Duration::from_millis(ticks)
}

/// Nodes that an empty wheel keeps.
const KEPT: usize = 1_024;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
/// The end of a list. Reached as an index only after four thousand million timers.
const NIL: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::{Duration, Now, Wheel};

    fn at(ms: u64) -> Now {
        Now::ZERO + Duration::from_millis(ms)
    }

    /// Runs the wheel to its end as its owner would, and returns what fired when, in ms.
    fn drain(wheel: &mut Wheel<u64>) -> Vec<(u64, u64)> {
        let mut fired = Vec::new();
        let mut wakes = 0;
        while let Some(deadline) = wheel.deadline() {
            wakes += 1;
            assert!(wakes < 100_000, "the wheel does not come to rest");
            while let Some(key) = wheel.expire(deadline) {
                fired.push((deadline.as_millis(), key));
            }
        }
        fired
    }

    #[test]
    fn every_timer_fires_at_its_own_millisecond_and_in_order() {
        let mut wheel = Wheel::new();
        let mut want = Vec::new();
        let mut x = 1_u64;
        for key in 0..2_000 {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let ms = (x >> 33) % 4_000_000;
            wheel.schedule(at(ms), key);
            want.push((ms, key));
        }
        want.sort_by_key(|&(ms, key)| (ms, key));
        assert_eq!(drain(&mut wheel), want);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_timer_between_two_ticks_fires_at_the_later_one() {
        let mut wheel = Wheel::new();
        wheel.schedule(Now::from_nanos(1_500_000), 7);
        assert_eq!(wheel.expire(Now::from_nanos(1_999_999)), None);
        assert_eq!(wheel.expire(Now::from_nanos(2_000_000)), Some(7));
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_its_name_cannot_cancel_the_next_one() {
        let mut wheel = Wheel::new();
        let first = wheel.schedule(at(5), 1);
        wheel.cancel(first);
        wheel.schedule(at(6), 2);
        wheel.cancel(first);
        assert_eq!(drain(&mut wheel), [(6, 2)]);
    }

    #[test]
    fn timers_scheduled_while_time_passes_keep_their_times() {
        let mut wheel = Wheel::new();
        wheel.schedule(at(10_000), 0);
        let mut now = 0;
        for key in 1..500 {
            now += 37;
            while let Some(_fired) = wheel.expire(at(now)) {}
            wheel.schedule(at(now + key * 91), key);
        }
        let fired = drain(&mut wheel);
        for (ms, key) in fired {
            assert_eq!(
                ms,
                if key == 0 {
                    10_000
                } else {
                    key * 37 + key * 91
                }
            );
        }
    }

    #[test]
    fn a_timer_beyond_the_wheel_waits_for_its_end_and_harms_nothing() {
        let mut wheel = Wheel::new();
        wheel.schedule(Now::from_nanos(u64::MAX), 1);
        wheel.schedule(at(3), 2);
        assert_eq!(wheel.expire(at(3)), Some(2));
        assert_eq!(drain(&mut wheel).len(), 1);
    }
}
