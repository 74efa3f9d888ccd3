//! linphone's console as an agent's phone: it registers with digest, answers by itself, speaks a tone.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::baresip::{free_port, write_tone};
use crate::lab::Lab;
use crate::process::{Process, bounded, tail};
use crate::server::Server;

/// A running linphonec. It is at 127.0.0.1, as baresip is and for the same reason.
pub(crate) struct Linphone {
    process: Process,
    /// Where it receives audio.
    pub(crate) rtp: RangeInclusive<SocketAddr>,
}

impl Linphone {
    /// Starts the phone of `name`, speaking a tone of `hz`, and waits until it is registered.
    pub(crate) fn start(lab: &Lab, server: &Server, name: &str, hz: u32) -> Result<Self> {
        Self::start_with(lab, server, name, hz, "")
    }

    /// The same, with more lines of its section `sip`.
    pub(crate) fn start_with(
        lab: &Lab,
        server: &Server,
        name: &str,
        hz: u32,
        more: &str,
    ) -> Result<Self> {
        let dir = lab.path(&format!("linphone-{name}"));
        // Without a place for its database it never begins.
        std::fs::create_dir_all(dir.join(".local/share/linphone"))?;
        let tone = dir.join("tone.wav");
        write_tone(&tone, hz, 60, 1)?;
        let (sip, rtp) = (free_port()?, free_port()?);
        let ip = server.ip;
        let config = format!(
            "[sip]\nsip_port={sip}\nsip_tcp_port=0\nsip_tls_port=0\nuse_ipv6=0\ndefault_proxy=0\n{more}\
             [rtp]\naudio_rtp_port={rtp}\n\
             [audio_codec_0]\nmime=G722\nrate=8000\nchannels=1\nenabled=1\n\
             [auth_info_0]\nusername={name}\npasswd=secret-{name}\nrealm=tandem\n\
             [proxy_0]\nreg_proxy=<sip:{ip}:5060>\nreg_identity=<sip:{name}@{ip}>\n\
             reg_expires=120\nreg_sendregister=1\n"
        );
        let file = dir.join("rc");
        std::fs::write(&file, config)?;
        let mut command = bounded("linphonec", Duration::from_secs(120));
        command
            .arg("-c")
            .arg(&file)
            .arg("-a")
            .args(["-d", "6", "-l"])
            .arg(dir.join("log"))
            .env("HOME", &dir)
            .stdin(Stdio::piped());
        let log = lab.path(&format!("linphone-{name}.log"));
        let process = Process::spawn("linphonec", &mut command, &log)?;
        let mut phone = Self {
            process,
            rtp: SocketAddr::from((Ipv4Addr::LOCALHOST, rtp))
                ..=SocketAddr::from((Ipv4Addr::LOCALHOST, rtp)),
        };
        phone.command("soundcard use files")?;
        phone.command(&format!("play {}", tone.display()))?;
        phone.command(&format!("record {}", dir.join("heard.wav").display()))?;
        server.reachable(name).with_context(|| tail(&log))?;
        Ok(phone)
    }

    /// Types a line at its prompt.
    pub(crate) fn command(&mut self, line: &str) -> Result<()> {
        let input = self.process.stdin().context("linphonec has no input")?;
        Ok(writeln!(input, "{line}")?)
    }
}
