//! What tokens are signed with: the operator's secret, else one of this installation's own.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::Access;
use crate::config::{Config, SECRET_MIN, Secret};

/// The tokens of this installation.
pub(super) fn of(config: &Config) -> anyhow::Result<Access> {
    let secret = match &config.access.secret {
        Some(secret) => secret.clone(),
        None => {
            let file = config.paths.data.join(FILE);
            kept(&file).with_context(|| format!("the secret of tokens: {}", file.display()))?
        }
    };
    Ok(Access::new(&secret, &config.access))
}

/// The secret in the file, which is made with one if it is not there: for its owner alone.
fn kept(file: &Path) -> anyhow::Result<Secret> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system has no randomness")?;
    let fresh = URL_SAFE_NO_PAD.encode(random);
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut made) => {
            made.write_all(fresh.as_bytes())?;
            made.sync_all()?;
            Ok(Secret::new(fresh))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = String::new();
            File::open(file)?.take(READ_MAX).read_to_string(&mut text)?;
            let text = text.trim();
            ensure!(
                text.len() >= SECRET_MIN,
                "want {SECRET_MIN} characters or more, have {}; delete it to have another made",
                text.len()
            );
            Ok(Secret::new(text.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Its name in the data folder.
const FILE: &str = "access.secret";
const READ_MAX: u64 = 4_096;
