//! From root to an account of its own: before a thread or socket exists, so that nothing of it was
//! ever root's.
//!
//! Two capabilities are kept: to listen on ports below 1,024 (ACME's challenge, HTTPS), and to run the
//! media threads at real-time priority. A program that the server starts inherits neither.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_gid,
    set_thread_groups, set_thread_uid,
};

/// Who the server becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    uid: u32,
    gid: u32,
}

/// Why the server cannot become somebody else.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such account.
    #[error(
        "process.user: want an account of {PASSWD}, have \"{0}\"; make it with: useradd --system {0}"
    )]
    Unknown(String),
    /// Only root can become somebody else.
    #[error(
        "process.user: want a start as root, or as \"{0}\"; leave the key out where the service manager sets the user"
    )]
    NotRoot(String),
    /// A folder that could not be given to the account.
    #[error("{}: cannot be given to the account: {error}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The system refused a step.
    #[error("process.user: the system refused to {step}: {error}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// The system's reason.
        error: io::Error,
    },
}

impl Account {
    /// The account of that name.
    ///
    /// # Errors
    /// [`PrivilegeError::Unknown`].
    pub fn find(name: &str) -> Result<Self, PrivilegeError> {
        let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
        Self::among(&passwd, name).ok_or_else(|| PrivilegeError::Unknown(name.to_owned()))
    }

    /// `name:x:uid:gid:…`, a line each (passwd(5)).
    fn among(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next() == Some(name);
            let mut number = |skip| fields.nth(skip)?.parse().ok();
            let (uid, gid) = (number(1)?, number(0)?);
            found.then_some(Self { uid, gid })
        })
    }
}

/// Becomes `name`, and gives it `folders`, which are made if they are not there. Nothing happens if
/// the process is `name` already. Must be called before another thread runs.
///
/// # Errors
/// [`PrivilegeError`]: the process is then to end, since it may be half way.
pub fn become_account(name: &str, folders: &[&Path]) -> Result<(), PrivilegeError> {
    let account = Account::find(name)?;
    let now = rustix::process::geteuid().as_raw();
    if now == account.uid {
        return Ok(());
    }
    if now != 0 {
        return Err(PrivilegeError::NotRoot(name.to_owned()));
    }
    for folder in folders {
        std::fs::create_dir_all(folder)
            .and_then(|()| std::os::unix::fs::chown(folder, Some(account.uid), Some(account.gid)))
            .map_err(|error| PrivilegeError::Folder {
                path: (*folder).to_owned(),
                error,
            })?;
    }
    let step = |step, result: Result<(), rustix::io::Errno>| {
        result.map_err(|error| PrivilegeError::Refused {
            step,
            error: error.into(),
        })
    };
    let kept = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::SYS_NICE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    let gid = Gid::from_raw(account.gid);
    step("keep capabilities", set_keep_capabilities(true))?;
    step("leave its groups", set_thread_groups(&[gid]))?;
    step("change its group", set_thread_gid(gid))?;
    step(
        "change its user",
        set_thread_uid(Uid::from_raw(account.uid)),
    )?;
    step("give up capabilities", set_capabilities(None, sets))
}

const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\ntandem2:x:7:8::/:\ntandem:x:995:994::/:\nbad\n";
        let found = |name| Account::among(passwd, name);
        assert_eq!(found("tandem"), Some(Account { uid: 995, gid: 994 }));
        assert_eq!(found("root"), Some(Account { uid: 0, gid: 0 }));
        assert_eq!(found("bad"), None);
        assert_eq!(found("tan"), None);
    }

    #[test]
    fn an_account_that_is_not_there_is_named_with_the_way_to_make_it() {
        let why = Account::find("nobody-of-that-name")
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("useradd --system nobody-of-that-name"),
            "{why}"
        );
    }
}
