//! `tandem hash-password`: a password becomes what a configuration may hold.

use std::io::{BufRead, Write};

use anyhow::{Context, anyhow};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Failure;
use crate::access::{self, PASSWORD_BYTES};

/// Reads one line, of a terminal without showing it, and prints its hash.
pub(super) fn hash(out: &mut dyn Write) -> Result<(), Failure> {
    let hashed = Quiet::begin().and_then(|_quiet| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        of(line.trim_end_matches(['\r', '\n']))
    });
    writeln!(out, "{}", hashed.map_err(Failure::Usage)?).map_err(|e| Failure::of(e.into()))
}

fn of(password: &str) -> anyhow::Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).context("the system has no randomness")?;
    let made = access::hash(password, salt);
    made.map(|made| made.text()).ok_or_else(|| {
        let (least, most) = PASSWORD_BYTES.into_inner();
        anyhow!(
            "password: want {least} to {most} bytes, have {}",
            password.len()
        )
    })
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Option<Termios>);

impl Quiet {
    fn begin() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        // Not a terminal: there is nobody to see it.
        let Ok(before) = tcgetattr(&stdin) else {
            return Ok(Self(None));
        };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &quiet)?;
        let mut err = std::io::stderr();
        // Whoever cannot be asked may type all the same.
        let _ = write!(err, "Password: ");
        Ok(Self(Some(before)))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::access::PasswordHash;

    #[test]
    fn a_password_becomes_a_hash_of_its_own_each_time_and_a_short_one_is_refused() {
        let [one, other] = [0, 1].map(|_| super::of("correct horse").unwrap());
        assert_ne!(one, other);
        assert!(PasswordHash::parse(&one).unwrap().is("correct horse"));
        let why = super::of("short").unwrap_err().to_string();
        assert_eq!(why, "password: want 8 to 256 bytes, have 5");
    }
}
