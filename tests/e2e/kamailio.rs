//! Kamailio as a proxy that stays in the dialog: in front of the server, or as the carrier behind it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::process::{Process, bounded, wait_for};

/// A running Kamailio. It ends with its owner.
pub(crate) struct Kamailio {
    _process: Process,
    pub(crate) sip: SocketAddr,
}

/// How it passes calls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Udp,
    Tcp,
}

impl Hop {
    /// As a URI says it.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
        }
    }
}

impl Kamailio {
    /// Starts it at `ip`; new calls go to `next` over `hop`. Its dispatcher asks `next` by OPTIONS
    /// every two seconds, and sends calls there only while it answers.
    pub(crate) fn start(lab: &Lab, ip: IpAddr, next: SocketAddr, hop: Hop) -> Result<Self> {
        let name = format!("kamailio-{ip}");
        let dir = lab.path(&name);
        std::fs::create_dir_all(&dir)?;
        let list = dir.join("dispatcher.list");
        std::fs::write(&list, format!("1 sip:{next}{}\n", hop.parameter()))?;
        let text = std::fs::read_to_string(Lab::data("kamailio.cfg"))?
            .replace("@IP@", &ip.to_string())
            .replace("@LIST@", &list.display().to_string());
        let file = dir.join("kamailio.cfg");
        std::fs::write(&file, text)?;
        let mut command = bounded("kamailio", Duration::from_secs(240));
        command
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(&file)
            .arg("-w")
            .arg(&dir)
            .arg("-Y")
            .arg(&dir)
            .arg("-P")
            .arg(dir.join("pid"))
            .current_dir(&dir);
        let log = lab.path(&format!("{name}.log"));
        let process = Process::spawn("kamailio", &mut command, &log)?;
        let sip = SocketAddr::new(ip, 5060);
        wait_for(Duration::from_secs(20), "Kamailio to listen", || {
            std::net::TcpStream::connect(sip).ok()
        })
        .with_context(|| crate::process::tail(&log))?;
        Ok(Self {
            _process: process,
            sip,
        })
    }
}
