//! The bell's protocol, taken through every order in which its steps can happen.
//!
//! All rings between threads are `rtrb`'s, which keeps its own promises; what is ours is who is woken. The
//! steps are those of [`Bell::wait`](super::Bell::wait) and of its waker. All of them are atomic and
//! sequentially consistent, so that the orders looked at here are all there are.

use std::collections::HashSet;

/// Who rings, between two of his steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Ringer {
    Sends(u8),
    Swaps(u8),
    Writes(u8),
}

/// Who listens, between two of his.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Listener {
    Waits,
    Clears,
    Reads,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Steps {
    /// Messages that nobody has read.
    unread: u8,
    rung: bool,
    /// Whether the eventfd was written since the listener was woken by it.
    edge: bool,
    ringers: [Ringer; 2],
    listener: Listener,
}

/// After the last step of one message, the next, if there is one.
fn next(left: u8) -> Ringer {
    Ringer::Sends(left - 1)
}

impl Steps {
    /// What the world is after the step of a ringer; `None` if he has nothing more to do.
    fn ring(&self, who: usize) -> Option<Self> {
        let mut after = self.clone();
        after.ringers[who] = match self.ringers[who] {
            Ringer::Sends(0) => return None,
            Ringer::Sends(left) => {
                after.unread += 1;
                Ringer::Swaps(left)
            }
            Ringer::Swaps(left) => {
                let was = std::mem::replace(&mut after.rung, true);
                if was {
                    next(left)
                } else {
                    Ringer::Writes(left)
                }
            }
            Ringer::Writes(left) => {
                after.edge = true;
                next(left)
            }
        };
        Some(after)
    }

    /// The same for the listener; `None` while he sleeps. `reads_first` is the mistake.
    fn listen(&self, reads_first: bool) -> Option<Self> {
        let mut after = self.clone();
        after.listener = match (self.listener, reads_first) {
            (Listener::Waits, _) if !self.edge => return None,
            (Listener::Waits, false) => Listener::Clears,
            (Listener::Waits, true) => Listener::Reads,
            (Listener::Clears, false) => Listener::Reads,
            (Listener::Reads, true) => Listener::Clears,
            (Listener::Clears, true) | (Listener::Reads, false) => Listener::Waits,
        };
        match self.listener {
            Listener::Waits => after.edge = false,
            Listener::Clears => after.rung = false,
            Listener::Reads => after.unread = 0,
        }
        Some(after)
    }
}

/// Every state that can be come to, and whether the listener sleeps over a message in one where nothing
/// happens any more.
fn explore(reads_first: bool) -> (usize, bool) {
    let start = Steps {
        unread: 0,
        rung: false,
        edge: false,
        ringers: [Ringer::Sends(3); 2],
        listener: Listener::Waits,
    };
    let (mut seen, mut open, mut sleeps) = (HashSet::new(), vec![start], false);
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let steps = [state.ring(0), state.ring(1), state.listen(reads_first)];
        let before = open.len();
        open.extend(steps.into_iter().flatten());
        sleeps |= open.len() == before && state.unread > 0;
    }
    (seen.len(), sleeps)
}

#[test]
fn nobody_sleeps_over_a_message_in_any_order_of_the_steps() {
    let (states, sleeps) = explore(false);
    assert!(states > 500 && !sleeps, "{states} states, sleeps: {sleeps}");
}

#[test]
fn who_reads_before_the_bell_is_cleared_sleeps_over_one() {
    assert!(explore(true).1);
}
