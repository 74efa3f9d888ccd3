//! What a fuzzer does with a lite end: bytes become datagrams from anywhere, checks and answers with and without
//! the right proof, questions, restarts and time. Nobody is ever at an address that he has not proven.

use std::collections::HashSet;
use std::net::SocketAddr;

use clock::{Duration, Now};

use crate::ice::{Credentials, IceLite, PATHS_MAX};
use crate::stun::{self, Check, Message};

/// Plays one session.
///
/// # Panics
/// When it holds an address for the peer's that the peer has not proven, or more of them than it may.
pub fn ice(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut now = Now::from_nanos(1_000_000_000);
    let (mut ours, mut theirs) = (credentials(b'u', 0), credentials(b't', 0));
    let mut ice = IceLite::new(now, ours.clone(), None);
    let mut proven = HashSet::new();
    let mut asked = None;
    while let Some(what) = bytes.next() {
        let from = address(bytes.next().unwrap_or_default());
        match what % 8 {
            0 => {
                let _ = ice.receive(now, from, bytes.some());
            }
            1 | 2 => {
                let mut check = Message::request([what; 12]);
                let names = format!("{}:{}", ours.ufrag, theirs.ufrag);
                check.push(stun::USERNAME, names.as_bytes());
                while let Some(kind) = bytes.next().filter(|kind| *kind != 0) {
                    let kind = u16::from(kind & 0x7F) | u16::from(kind & 0x80) << 8;
                    check.push(kind, bytes.some());
                }
                if ice.receive(now, from, &check.seal(&ours.password)).is_ok() {
                    proven.insert(from);
                }
            }
            3 => {
                if let Some(question) = ice.ask(now, from) {
                    asked = Some((from, question));
                }
            }
            4 => {
                let Some((to, question)) = &asked else {
                    continue;
                };
                let check = Check::parse(question).map(|check| check.transaction);
                assert!(check.is_ok(), "a question that cannot be read");
                let transaction = check.unwrap_or_default();
                let to = if what & 8 == 0 { *to } else { from };
                let answer = stun::success(transaction, from, &theirs.password);
                if ice.receive(now, to, &answer).is_ok() {
                    proven.insert(to);
                }
            }
            5 => {
                theirs = credentials(b't', what);
                ice.meet(theirs.clone());
            }
            6 => {
                (ours, theirs) = (credentials(b'u', what), credentials(b't', what));
                ice.restart(ours.clone(), Some(theirs.clone()));
            }
            _ => now += Duration::from_millis(u64::from(what) * 4),
        }
        assert!(ice.paths().count() <= PATHS_MAX);
        assert!(
            ice.paths()
                .chain(ice.chosen())
                .all(|at| proven.contains(&at))
        );
    }
}

fn credentials(who: u8, generation: u8) -> Credentials {
    let who = char::from(who);
    Credentials {
        ufrag: format!("{who}{generation:03}"),
        password: format!("{who}-password-of-generation-{generation}"),
    }
}

/// One of eight.
fn address(which: u8) -> SocketAddr {
    ([192, 0, 2, which % 8], 5_000).into()
}

/// What is left of the fuzzer's bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// As many as the next byte says, or all.
    fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.next().unwrap_or_default()).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn nobody_is_where_he_has_not_proven_to_be(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            super::ice(&data);
        }
    }
}
