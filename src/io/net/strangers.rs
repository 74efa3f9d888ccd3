//! Connections whose peer has not proven who he is, and which of them goes when there are too many.
//!
//! The law: whoever is known is never closed to make room, and a new connection is always let in while
//! a stranger's can be closed for it. The victim is of the address that has most of them, there the
//! oldest that never said anything, else the oldest; so a crowd at one address cannot push out others,
//! and one of many addresses pushes out itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// The strangers of each listener.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    of: BTreeMap<u16, Crowd>,
}

#[derive(Debug, Default)]
struct Crowd {
    by_ip: HashMap<IpAddr, BTreeSet<u64>>,
    len: usize,
}

impl Strangers {
    pub(super) fn add(&mut self, listener: u16, ip: IpAddr, id: u64) {
        let crowd = self.of.entry(listener).or_default();
        if crowd.by_ip.entry(owner(ip)).or_default().insert(id) {
            crowd.len += 1;
        }
    }

    pub(super) fn remove(&mut self, listener: u16, ip: IpAddr, id: u64) {
        let Some(crowd) = self.of.get_mut(&listener) else {
            return;
        };
        let Some(ids) = crowd.by_ip.get_mut(&owner(ip)) else {
            return;
        };
        if ids.remove(&id) {
            crowd.len -= 1;
        }
        if ids.is_empty() {
            crowd.by_ip.remove(&owner(ip));
        }
    }

    pub(super) fn len(&self, listener: u16) -> usize {
        self.of.get(&listener).map_or(0, |crowd| crowd.len)
    }

    /// Whom to close for one more at that listener.
    pub(super) fn of_listener(&self, listener: u16, spoke: impl Fn(u64) -> bool) -> Option<u64> {
        let crowd = self.of.get(&listener)?;
        let most = crowd
            .by_ip
            .values()
            .max_by_key(|ids| (ids.len(), std::cmp::Reverse(ids.first().copied())))?;
        first_silent(most, spoke)
    }

    /// Whom to close anywhere.
    pub(super) fn of_all(&self, spoke: impl Fn(u64) -> bool) -> Option<u64> {
        let (listener, _) = self.of.iter().max_by_key(|(_, crowd)| crowd.len)?;
        self.of_listener(*listener, spoke)
    }

    /// Whom to close for one more of that address.
    pub(super) fn of_address(&self, ip: IpAddr, spoke: impl Fn(u64) -> bool) -> Option<u64> {
        let ids = |crowd: &Crowd| first_silent(crowd.by_ip.get(&owner(ip))?, &spoke);
        self.of.values().filter_map(ids).min()
    }
}

fn first_silent(ids: &BTreeSet<u64>, spoke: impl Fn(u64) -> bool) -> Option<u64> {
    let silent = ids.iter().find(|id| !spoke(**id));
    silent.or_else(|| ids.first()).copied()
}

/// Whose an address is: a /64 of IPv6 has one owner.
pub(super) fn owner(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_address_with_most_loses_its_oldest_silent_one() {
        let mut strangers = Strangers::default();
        for (id, last) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3)] {
            strangers.add(0, ip(last), id);
        }
        assert_eq!(strangers.of_listener(0, |_| false), Some(2));
        assert_eq!(strangers.of_listener(0, |id| id == 2), Some(3));
        assert_eq!(strangers.of_listener(0, |_| true), Some(2));
        assert_eq!(strangers.of_address(ip(3), |_| true), Some(5));
        assert_eq!(strangers.of_listener(1, |_| false), None);
        strangers.remove(0, ip(2), 2);
        strangers.remove(0, ip(2), 3);
        // Of equals the oldest.
        assert_eq!(strangers.of_all(|_| false), Some(1));
        assert_eq!(strangers.len(0), 3);
    }

    #[test]
    fn one_64_is_one_owner() {
        let of = |text: &str| owner(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
