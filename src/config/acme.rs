//! Certificates that an authority hands out by ACME (RFC 8555): for which names, and by whom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, Section};

/// Names to prove, and to whom: `[acme]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The host names, or addresses, that the certificate is for; the first is its subject.
    pub names: Vec<String>,
    /// Where the authority may write to, such as `mailto:ops@example.com`.
    pub contact: Option<String>,
    /// The authority's directory.
    pub directory: String,
    /// PEM: whose certificate the directory itself shows, if not one that the system trusts.
    pub authority: Option<PathBuf>,
    /// Where the authority's challenge is answered: it asks port 80 of every name.
    pub listen: SocketAddr,
    /// A certificate is renewed when less than this is left of it; a third of its life if `None`.
    pub renew_before: Option<Duration>,
}

impl Acme {
    /// Reads the section; `None` if nothing is in it.
    pub(super) fn read(mut acme: Section) -> Result<Option<Self>, ConfigError> {
        if acme.is_empty() {
            return Ok(None);
        }
        let names = acme.texts("names")?.unwrap_or_default();
        if names.is_empty() {
            return Err(acme.missing("names", "the host names that the certificate is for"));
        }
        if let Some(bad) = names.iter().find(|name| !is_name(name)) {
            let rule = "host names or addresses, without wildcards";
            return Err(acme.refuse("names", rule, bad));
        }
        if acme.boolean("terms_agreed")? != Some(true) {
            let rule = "true: that you have read and take the authority's terms of service";
            return Err(acme.missing("terms_agreed", rule));
        }
        let directory = acme
            .text("directory")?
            .unwrap_or_else(|| LETS_ENCRYPT.to_owned());
        if !directory.starts_with("https://") {
            return Err(acme.refuse("directory", "a URL that begins with https://", &directory));
        }
        let contact = acme.text("contact")?;
        if let Some(bad) = contact.as_ref().filter(|it| !it.starts_with("mailto:")) {
            return Err(acme.refuse("contact", "mailto: and an address", bad));
        }
        let listen = acme.parsed("listen", "an address and a port such as \"0.0.0.0:80\"")?;
        let read = Self {
            names,
            contact,
            directory,
            authority: acme.text("authority")?.map(PathBuf::from),
            listen: listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 80))),
            renew_before: acme.duration("renew_before", Duration::from_secs(1)..=YEAR)?,
        };
        acme.finish()?;
        Ok(Some(read))
    }
}

fn is_name(name: &str) -> bool {
    let letter = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | ':');
    !name.is_empty() && name.len() <= 253 && name.chars().all(letter)
}

/// Whom most people ask.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
