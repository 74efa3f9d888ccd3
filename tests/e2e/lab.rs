//! What one scenario has for itself: a folder, a block of loopback addresses, a capture.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::capture::Capture;

/// One scenario's place.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    block: [u8; 2],
    /// Whether agents are at browsers in the place of SIP phones.
    pub(crate) browsers: bool,
}

impl Lab {
    /// An empty folder and addresses that no other scenario has, nor another run on this machine.
    pub(crate) fn new(name: &str, number: usize, browsers: bool) -> Result<Self> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("e2e")
            .join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        std::fs::create_dir_all(&dir)?;
        let run = u8::try_from(std::process::id() % 200).unwrap_or(0) + 20;
        let number = u8::try_from(number).unwrap_or(0) + 1;
        Ok(Self {
            dir,
            block: [run, number],
            browsers,
        })
    }

    /// The `n`th address of the block: 1 is the server's.
    pub(crate) fn ip(&self, n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.block[0], self.block[1], n))
    }

    /// A file of the scenario.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file that is part of the tests.
    pub(crate) fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/e2e")
            .join(name)
    }

    /// Captures what matches `filter` from now on.
    pub(crate) fn capture(&self, filter: &str) -> Result<Capture> {
        Capture::start(&self.path("capture.pcap"), filter)
    }

    /// The filter of all traffic of this scenario.
    pub(crate) fn net(&self) -> String {
        format!("net 127.{}.{}.0/24", self.block[0], self.block[1])
    }
}
