//! Storage for what has a name of its own: reused cells, names never reused.

/// Values in cells; a name is the cell's number and its generation.
#[derive(Debug)]
pub(super) struct Slab<T> {
    cells: Vec<Cell<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Cell<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            cells: Vec::new(),
            free: Vec::new(),
            len: 0,
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
            generation: 0,
            value: Some(value),
        });
        name(index, 0)
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
        let cell = self
            .cells
            .get_mut(index(id))
            .filter(|c| c.generation == generation(id))?;
        let value = cell.value.take();
        cell.generation = (cell.generation + 1) & 0x7fff_ffff;
        self.free.push(index(id) as u32);
        self.len -= 1;
        value
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
    use super::Slab;

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
}
