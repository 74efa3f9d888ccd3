//! A map of a few: the legs of a call and what goes with each.
//!
//! Nearly every call has one leg or two. A B-tree takes room for eleven at once, which for legs is more
//! than all else that a held call keeps; this takes room for those that are there.

/// Values by their keys, in the keys' order; finding one looks at half of them at most.
#[derive(Clone, Debug)]
pub(crate) struct Few<K, V>(Vec<(K, V)>);

impl<K: Ord + Copy, V> Few<K, V> {
    /// A map of nothing: takes no memory.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Puts a value under its key; what was there before is given back.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => {
                let there = self.0.get_mut(at)?;
                Some(std::mem::replace(&mut there.1, value))
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Keeps those of which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// Where a key is, or where it would go.
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by_key(key, |(key, _)| *key)
    }
}

impl<K: Ord + Copy, V> Extend<(K, V)> for Few<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, more: T) {
        for (key, value) in more {
            self.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Few;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_its_keys(
            steps in prop::collection::vec((0_u8..3, 0_u8..8, any::<u16>()), 0..60),
        ) {
            let (mut few, mut map) = (Few::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 => prop_assert_eq!(few.insert(key, value), map.insert(key, value)),
                    1 => prop_assert_eq!(few.remove(&key), map.remove(&key)),
                    _ => {
                        few.retain(|it, _| it % 2 == key % 2);
                        map.retain(|it, _| it % 2 == key % 2);
                    }
                }
                prop_assert_eq!(few.get(&key), map.get(&key));
                prop_assert!(few.keys().eq(map.keys()) && few.values().eq(map.values()));
            }
        }
    }

    #[test]
    fn it_takes_room_for_what_is_in_it_and_no_more() {
        let mut few = Few::new();
        few.insert(2, [0_u8; 500]);
        assert_eq!(few.0.capacity(), 1);
        few.insert(1, [1_u8; 500]);
        assert_eq!(few.0.capacity(), 2);
    }
}
