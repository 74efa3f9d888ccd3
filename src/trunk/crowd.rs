//! What is remembered of many sources, in a bounded table: IPv4 by address, IPv6 by /64, since whoever
//! has one address of a /64 has them all.
//!
//! ```text
//!   hash(seed, source) ─▶ set of at most 16 ─▶ entry        full set: the entry of the least worth goes
//! ```
//!
//! Memory grows with what is in it: a set that was never used costs 24 bytes.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A source as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u64);

impl Origin {
    /// The origin of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            // No source has a multicast address, so these are IPv4's.
            IpAddr::V4(v4) => Self(MULTICAST << 32 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }

    /// The address, or the first of its /64.
    pub fn address(self) -> IpAddr {
        match u32::try_from(self.0 & u64::from(u32::MAX)) {
            Ok(v4) if self.0 >> 32 == MULTICAST => Ipv4Addr::from_bits(v4).into(),
            _ => Ipv6Addr::from_bits(u128::from(self.0) << 64).into(),
        }
    }
}

/// `ffff:ffff::/32` lies in IPv6's multicast range.
const MULTICAST: u64 = 0xffff_ffff;

/// The table.
#[derive(Debug)]
pub struct Crowd<T> {
    sets: Box<[Vec<(u64, T)>]>,
    seed: u64,
    len: usize,
    evicted: u64,
}

impl<T> Crowd<T> {
    /// A table for about `entries_max` sources: twice as many places, so that few sets overflow.
    /// `seed` must be unpredictable, or sources could be chosen to meet in one set.
    pub fn new(entries_max: usize, seed: u64) -> Self {
        let sets = (entries_max / (WAYS / 2)).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Vec::new()).collect(),
            seed,
            len: 0,
            evicted: 0,
        }
    }

    /// How many sources are remembered.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is remembered.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were forgotten for want of room.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that the table's places take, without the allocator's own.
    pub fn bytes(&self) -> usize {
        let places: usize = self.sets.iter().map(Vec::capacity).sum();
        places * size_of::<(u64, T)>() + self.sets.len() * size_of::<Vec<(u64, T)>>()
    }

    /// What is remembered of a source.
    pub fn get_mut(&mut self, origin: Origin) -> Option<&mut T> {
        let at = self.set_of(origin);
        let set = self.sets.get_mut(at)?;
        let found = set.iter_mut().find(|(key, _)| *key == origin.0);
        found.map(|(_, entry)| entry)
    }

    /// The same; a new source gets `fresh`, in the place of whose `worth` is least if its set is full.
    pub fn entry(&mut self, origin: Origin, fresh: T, worth: impl Fn(&T) -> u64) -> Option<&mut T> {
        let at = self.set_of(origin);
        let set = self.sets.get_mut(at)?;
        let known = set.iter().position(|(key, _)| *key == origin.0);
        let index = match known {
            Some(index) => index,
            None if set.len() < WAYS => {
                self.len += 1;
                set.push((origin.0, fresh));
                set.len() - 1
            }
            None => {
                self.evicted += 1;
                let ranked = set.iter().enumerate();
                let (least, _) = ranked.min_by_key(|(_, (_, entry))| worth(entry))?;
                *set.get_mut(least)? = (origin.0, fresh);
                least
            }
        };
        set.get_mut(index).map(|(_, entry)| entry)
    }

    /// Forgets a source, and tells what was known.
    pub fn remove(&mut self, origin: Origin) -> Option<T> {
        let at = self.set_of(origin);
        let set = self.sets.get_mut(at)?;
        let index = set.iter().position(|(key, _)| *key == origin.0)?;
        self.len -= 1;
        Some(set.swap_remove(index).1)
    }

    /// Every source, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, &T)> {
        let all = self.sets.iter().flatten();
        all.map(|(key, entry)| (Origin(*key), entry))
    }

    fn set_of(&self, origin: Origin) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(origin.0);
        // The number of sets is a power of two.
        usize::try_from(hasher.finish() & (self.sets.len() as u64 - 1)).unwrap_or(0)
    }
}

/// Places of a set.
const WAYS: usize = 16;
