//! Sessions of pages, and the calls of those whose page has gone: after a reload the new page says the session
//! it was, and its line asks for their places by INVITE with Replaces.
//!
//! ```text
//!   enter ──▶ here ── leave ──▶ left ── take, by who enters next ──▶ theirs
//!              │ somebody else enters as the same: is told to leave
//! ```
//!
//! The law: only whoever has proven to be the same, and says the session's unguessable name, gets them, once.
//! Nothing here keeps a call alive: one that nobody takes up ends when its media does.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::Now;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::line::Left;

/// A user, and his session's name.
type Session = (String, String);

/// Sessions that are, and that were left lately; all faces share it.
#[derive(Debug, Default)]
pub struct Parked {
    left: Mutex<BTreeMap<Session, (Now, Vec<Left>)>>,
    here: Mutex<BTreeMap<Session, (u64, CancellationToken)>>,
}

/// A session that somebody is in.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    number: u64,
    /// Cancelled when somebody else has come as the same.
    pub leave: CancellationToken,
    /// Whether somebody was there, who has been told to leave: his calls come in a moment.
    pub awaits: bool,
}

impl Parked {
    /// Takes a session's seat; who has it is told to leave. At most one a connection is held.
    pub fn enter(&self, (user, session): (&str, &str)) -> Seat {
        let mut here = self.here.lock();
        let before = here.remove(&(user.to_owned(), session.to_owned()));
        let seat = Seat {
            number: before.as_ref().map_or(0, |(number, _)| number + 1),
            leave: CancellationToken::new(),
            awaits: before.is_some(),
        };
        if let Some((_, leave)) = before {
            leave.cancel();
        }
        let key = (user.to_owned(), session.to_owned());
        here.insert(key, (seat.number, seat.leave.clone()));
        seat
    }

    /// Gives the seat back, if it is still his.
    pub fn rise(&self, (user, session): (&str, &str), seat: &Seat) {
        let mut here = self.here.lock();
        let key = (user.to_owned(), session.to_owned());
        if here
            .get(&key)
            .is_some_and(|(number, _)| *number == seat.number)
        {
            here.remove(&key);
        }
    }

    /// Keeps what `user`'s session has left. Where as many wait as may, the one that waits longest goes.
    pub fn leave(&self, now: Now, (user, session): (&str, &str), calls: Vec<Left>) {
        if calls.is_empty() {
            return;
        }
        let mut left = self.left.lock();
        left.retain(|_, (since, _)| now.since(*since) < KEPT);
        if left.len() >= SESSIONS_MAX {
            let oldest = left.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                left.remove(&oldest);
            }
        }
        left.insert((user.to_owned(), session.to_owned()), (now, calls));
    }

    /// Takes what `user`'s session has left; nothing of anybody else's, nor twice, nor after [`KEPT`].
    pub fn take(&self, now: Now, (user, session): (&str, &str)) -> Vec<Left> {
        let mut left = self.left.lock();
        let key = (user.to_owned(), session.to_owned());
        let found = left.remove(&key);
        let fresh = found.filter(|(since, _)| now.since(*since) < KEPT);
        fresh.map(|(_, calls)| calls).unwrap_or_default()
    }
}

/// How long a page may be away. A browser's media has ended by then.
pub const KEPT: Duration = Duration::from_secs(60);
/// Sessions with calls that wait; about 300 bytes a call.
const SESSIONS_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn left(call: &str) -> Vec<Left> {
        vec![Left {
            call: call.to_owned(),
            ..Left::default()
        }]
    }

    #[test]
    fn only_the_same_person_takes_a_session_up_once_and_in_time() {
        let (parked, at) = (Parked::default(), Now::ZERO);
        let anna = ("anna", "s1");
        for (who, after, gets) in [
            (("bob", "s1"), Duration::ZERO, 0),
            (("anna", "s2"), Duration::ZERO, 0),
            (anna, KEPT - Duration::from_millis(1), 1),
            (anna, KEPT, 0),
        ] {
            parked.leave(at, anna, left("one"));
            assert_eq!(
                parked.take(at + after, who).len(),
                gets,
                "{who:?} {after:?}"
            );
        }
        assert_eq!(parked.take(at, anna).len(), 0);
    }

    #[test]
    fn who_comes_as_the_same_has_the_one_before_leave_and_nobody_else() {
        let parked = Parked::default();
        let anna = ("anna", "s1");
        let first = parked.enter(anna);
        let other = parked.enter(("bob", "s1"));
        assert!(!first.awaits && !other.awaits);
        let second = parked.enter(anna);
        assert!(second.awaits && first.leave.is_cancelled());
        parked.rise(anna, &first);
        assert!(!second.leave.is_cancelled() && !other.leave.is_cancelled());
        let third = parked.enter(anna);
        assert!(third.awaits, "the one who left late took no seat away");
        parked.rise(anna, &third);
        assert!(!parked.enter(anna).awaits);
    }

    #[test]
    fn of_more_sessions_than_there_is_room_for_the_oldest_goes() {
        let parked = Parked::default();
        let at = |n: usize| Now::ZERO + Duration::from_micros(n as u64);
        for n in 0..=SESSIONS_MAX {
            parked.leave(at(n), ("anna", &n.to_string()), left("one"));
        }
        let end = at(SESSIONS_MAX + 1);
        assert!(parked.take(end, ("anna", "0")).is_empty());
        assert_eq!(parked.take(end, ("anna", "1")).len(), 1);
        assert_eq!(parked.left.lock().len(), SESSIONS_MAX - 1);
    }
}
