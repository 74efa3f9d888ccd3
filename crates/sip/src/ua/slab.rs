//! Storage for what has a name of its own: reused cells, names never reused. When its last value goes, a
//! slab that has grown large gives its memory back.
//!
//! Values that are done with, but stay a while, *rest*: in a list through their cells, in the order in
//! which they began to, so that the oldest is found and any is taken out in constant time. The oldest of
//! them are *spare* from when their owner says so: how many, is counted as they become it.

/// Values in cells; a name is the cell's number and its generation.
#[derive(Debug)]
pub(super) struct Slab<T> {
    cells: Vec<Cell<T>>,
    free: Vec<u32>,
    len: usize,
    oldest: u32,
    newest: u32,
    /// How many of the oldest are known to be spare.
    spare: usize,
    /// The oldest that rests and is not known to be.
    fresh: u32,
    /// The generation of a new cell: above that of any cell that was given back.
    born: u32,
}

#[derive(Debug)]
struct Cell<T> {
    generation: u32,
    rest: Option<Rest>,
    value: Option<T>,
}

/// A value's neighbours among those that rest; [`NOBODY`] at the ends.
#[derive(Clone, Copy, Debug)]
struct Rest {
    older: u32,
    newer: u32,
    is_spare: bool,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            cells: Vec::new(),
            free: Vec::new(),
            len: 0,
            oldest: NOBODY,
            newest: NOBODY,
            spare: 0,
            fresh: NOBODY,
            born: 0,
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u64 {
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(cell) = self.cells.get_mut(index as usize)
        {
            cell.value = Some(value);
            return name(index, cell.generation);
        }
        let index = self.cells.len() as u32;
        self.cells.push(Cell {
            generation: self.born,
            rest: None,
            value: Some(value),
        });
        name(index, self.born)
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let cell = self.cells.get(index(id))?;
        cell.value
            .as_ref()
            .filter(|_| cell.generation == generation(id))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let cell = self.cells.get_mut(index(id))?;
        cell.value
            .as_mut()
            .filter(|_| cell.generation == generation(id))
    }

    /// Frees a cell, whether its value is in it or taken out for good.
    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        self.wake(id);
        let cell = self
            .cells
            .get_mut(index(id))
            .filter(|c| c.generation == generation(id))?;
        let value = cell.value.take();
        cell.generation = (cell.generation + 1) & 0x7fff_ffff;
        self.free.push(index(id) as u32);
        self.len -= 1;
        self.give_back();
        value
    }

    /// Frees the memory of a large slab that nothing is in any more.
    fn give_back(&mut self) {
        if self.len == 0 && self.cells.len() > KEPT {
            let cells = std::mem::take(&mut self.cells);
            let newest = cells.iter().map(|cell| cell.generation).max();
            self.born = newest.unwrap_or(self.born);
            self.free = Vec::new();
        }
    }

    /// Takes a value out for a while; its name stays reserved until `put` or `remove`.
    pub(super) fn take(&mut self, id: u64) -> Option<T> {
        let cell = self
            .cells
            .get_mut(index(id))
            .filter(|c| c.generation == generation(id))?;
        cell.value.take()
    }

    /// Puts back what `take` took.
    pub(super) fn put(&mut self, id: u64, value: T) {
        if let Some(cell) = self.cells.get_mut(index(id)) {
            cell.value = Some(value);
        }
    }

    /// Puts a value behind those that rest; one that rests stays in its place.
    pub(super) fn rest(&mut self, id: u64) {
        let (at, older) = (index(id) as u32, self.newest);
        let Some(cell) = self.cell(id).filter(|cell| cell.rest.is_none()) else {
            return;
        };
        cell.rest = Some(Rest {
            older,
            newer: NOBODY,
            is_spare: false,
        });
        self.newest = at;
        if self.fresh == NOBODY {
            self.fresh = at;
        }
        match self.neighbour(older) {
            Some(rest) => rest.newer = at,
            None => self.oldest = at,
        }
    }

    /// The name of the value that has rested longest.
    pub(super) fn oldest_resting(&self) -> Option<u64> {
        let cell = self.cells.get(self.oldest as usize)?;
        Some(name(self.oldest, cell.generation))
    }

    /// How many of those that rest are spare, the oldest first up to one that is not yet: what was spare
    /// stays it. Each value is asked about as often as it is found not to be, and once more.
    pub(super) fn spare(&mut self, is_spare: impl Fn(&T) -> bool) -> usize {
        while let Some(cell) = self.cells.get_mut(self.fresh as usize)
            && let Some(rest) = &mut cell.rest
            && cell.value.as_ref().is_some_and(&is_spare)
        {
            rest.is_spare = true;
            self.fresh = rest.newer;
            self.spare += 1;
        }
        self.spare
    }

    /// Takes a value out of those that rest.
    fn wake(&mut self, id: u64) {
        let Some(rest) = self.cell(id).and_then(|cell| cell.rest.take()) else {
            return;
        };
        let Rest { older, newer, .. } = rest;
        self.spare -= usize::from(rest.is_spare);
        if self.fresh == index(id) as u32 {
            self.fresh = newer;
        }
        match self.neighbour(older) {
            Some(rest) => rest.newer = newer,
            None => self.oldest = newer,
        }
        match self.neighbour(newer) {
            Some(rest) => rest.older = older,
            None => self.newest = older,
        }
    }

    fn cell(&mut self, id: u64) -> Option<&mut Cell<T>> {
        let cell = self.cells.get_mut(index(id));
        cell.filter(|cell| cell.generation == generation(id))
    }

    fn neighbour(&mut self, at: u32) -> Option<&mut Rest> {
        self.cells.get_mut(at as usize)?.rest.as_mut()
    }

    /// The names of all values, in the order of their cells.
    pub(super) fn names(&self) -> Vec<u64> {
        let named = self
            .cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.value.is_some());
        named
            .map(|(index, cell)| name(index as u32, cell.generation))
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.cells.iter().filter_map(|cell| cell.value.as_ref())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Cells that an empty slab keeps.
const KEPT: usize = 1_024;

/// No cell has this number: four billion of them fit into no memory.
const NOBODY: u32 = u32::MAX;

/// 31 bits of generation: the top bit of a name is left to whoever shares the number space.
fn name(index: u32, generation: u32) -> u64 {
    u64::from(generation & 0x7fff_ffff) << 32 | u64::from(index)
}

fn index(id: u64) -> usize {
    (id & 0xffff_ffff) as usize
}

fn generation(id: u64) -> u32 {
    (id >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Slab};

    #[test]
    fn a_name_outlives_its_value_without_naming_the_next() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.len(), slab.names()), (1, vec![second]));
    }

    #[test]
    fn a_large_slab_gives_its_memory_back_when_it_is_empty_and_reuses_no_name() {
        let mut slab = Slab::new();
        let names: Vec<u64> = (0..KEPT + 1).map(|n| slab.insert(n)).collect();
        slab.remove(names[7]);
        let again = slab.insert(7);
        for name in names.iter().chain([&again]) {
            slab.remove(*name);
        }
        assert_eq!((slab.len(), slab.cells.capacity()), (0, 0));
        let new: Vec<u64> = (0..KEPT + 1).map(|n| slab.insert(n)).collect();
        assert!(names.iter().chain([&again]).all(|old| !new.contains(old)));
        assert_eq!(slab.get(new[7]), Some(&7));
    }

    #[test]
    fn those_that_rest_go_in_the_order_in_which_they_began_to() {
        let mut slab = Slab::new();
        let names: Vec<u64> = (0..6).map(|n| slab.insert(n)).collect();
        for at in [3, 1, 4, 0, 3, 5] {
            slab.rest(names[at]);
        }
        // From the middle, both ends, and one that never rested.
        for at in [4, 5, 2] {
            slab.remove(names[at]);
        }
        let again = slab.insert(9);
        slab.rest(names[4]);
        slab.rest(again);
        let order = std::iter::from_fn(|| slab.remove(slab.oldest_resting()?));
        assert_eq!(order.collect::<Vec<_>>(), [3, 1, 0, 9]);
        assert_eq!(slab.len(), 0);
        slab.rest(names[0]);
        assert_eq!(slab.oldest_resting(), None);
    }

    #[test]
    fn those_that_are_spare_are_counted_until_they_go() {
        let mut slab = Slab::new();
        let names: Vec<u64> = (0..8).map(|n| slab.insert(n)).collect();
        for name in &names[..6] {
            slab.rest(*name);
        }
        assert_eq!(slab.spare(|n| *n < 3), 3);
        // A spare one, the first that is not, and one behind it.
        for at in [1, 3, 5] {
            slab.remove(names[at]);
        }
        assert_eq!(slab.spare(|_| false), 2);
        slab.rest(names[6]);
        assert_eq!(slab.spare(|n| *n != 6), 3, "0, 2 and 4");
        for at in [0, 2, 4] {
            slab.remove(names[at]);
        }
        assert_eq!(slab.spare(|_| true), 1);
        slab.rest(names[7]);
        assert_eq!(slab.spare(|_| true), 2);
        slab.remove(names[6]);
        slab.remove(names[7]);
        assert_eq!(slab.spare(|_| true), 0);
    }
}
