//! From ids to slots: an open-addressed table of fixed size.
//!
//! A `HashMap` may grow or rehash; this one is allocated once, holds at most half of its places and
//! removes by shifting back, so that a lookup is a short walk for ever. Ids are control's, not the
//! network's: nobody outside can aim for collisions.

/// Maps ids to slot numbers.
#[derive(Debug)]
pub(crate) struct IdIndex {
    places: Box<[Option<(u32, u32)>]>,
    held: usize,
}

impl IdIndex {
    /// A table for `capacity` ids.
    pub(crate) fn new(capacity: usize) -> Self {
        let places = (2 * capacity.max(1)).next_power_of_two();
        Self {
            places: vec![None; places].into(),
            held: 0,
        }
    }

    /// The slot of `id`.
    pub(crate) fn get(&self, id: u32) -> Option<usize> {
        let place = self.place(id)?;
        self.places
            .get(place)
            .copied()
            .flatten()
            .map(|(_, slot)| slot as usize)
    }

    /// Adds `id`, which must not be there; `false` when the table is at its capacity.
    pub(crate) fn insert(&mut self, id: u32, slot: usize) -> bool {
        let Ok(slot) = u32::try_from(slot) else {
            return false;
        };
        if 2 * self.held >= self.places.len() {
            return false;
        }
        let mut at = self.home(id);
        while self.places.get(at).is_some_and(Option::is_some) {
            at = self.next(at);
        }
        let Some(place) = self.places.get_mut(at) else {
            return false;
        };
        *place = Some((id, slot));
        self.held += 1;
        true
    }

    /// Removes `id` and gives the slot it had.
    pub(crate) fn remove(&mut self, id: u32) -> Option<usize> {
        let mut hole = self.place(id)?;
        let (_, slot) = self.places.get_mut(hole)?.take()?;
        self.held -= 1;
        // Shift back whoever would no longer be found because his walk crosses the hole.
        let mut at = self.next(hole);
        while let Some(entry) = self.places.get(at).copied().flatten() {
            let distance = self.distance(self.home(entry.0), at);
            if distance >= self.distance(hole, at) {
                if let Some(place) = self.places.get_mut(hole) {
                    *place = Some(entry);
                }
                if let Some(place) = self.places.get_mut(at) {
                    *place = None;
                }
                hole = at;
            }
            at = self.next(at);
        }
        Some(slot as usize)
    }

    /// Where `id` is. The walk ends: at least half of the places are empty.
    fn place(&self, id: u32) -> Option<usize> {
        let mut at = self.home(id);
        loop {
            match self.places.get(at).copied().flatten() {
                Some((held, _)) if held == id => return Some(at),
                Some(_) => at = self.next(at),
                None => return None,
            }
        }
    }

    fn home(&self, id: u32) -> usize {
        // Fibonacci hashing: consecutive ids are spread by the golden ratio.
        (id.wrapping_mul(0x9E37_79B9) >> 7) as usize & (self.places.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::IdIndex;

    proptest! {
        #[test]
        fn the_index_answers_as_a_map_does(
            steps in prop::collection::vec((any::<bool>(), 0_u32..40), 0..400),
        ) {
            let (mut index, mut map) = (IdIndex::new(16), HashMap::new());
            for (n, (add, id)) in steps.into_iter().enumerate() {
                if add && !map.contains_key(&id) {
                    let room = map.len() < 16;
                    prop_assert_eq!(index.insert(id, n), room);
                    if room {
                        map.insert(id, n);
                    }
                } else if !add {
                    prop_assert_eq!(index.remove(id), map.remove(&id));
                }
                for id in 0..40 {
                    prop_assert_eq!(index.get(id), map.get(&id).copied());
                }
            }
        }
    }
}
