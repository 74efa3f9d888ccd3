//! SIPp, the signalling of callers and of agents that refuse, delay or answer as told.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::process::{Process, bounded, tail};

/// A running SIPp.
pub(crate) struct Sipp {
    process: Process,
    address: SocketAddr,
    /// Its calls' Call-ID, but for their number.
    calls: String,
}

/// What to run.
pub(crate) struct Play<'a> {
    /// The scenario's file, without `.xml`.
    pub(crate) scenario: &'a str,
    /// Its own address.
    pub(crate) ip: IpAddr,
    /// Its port, if not 5060.
    pub(crate) port: Option<u16>,
    /// Whom it calls, for callers; ignored by agents.
    pub(crate) server: SocketAddr,
    /// The number it calls.
    pub(crate) number: &'a str,
    /// Where its audio is.
    pub(crate) ear: Option<SocketAddr>,
    /// Words of its scenario's file, and what stands in their place.
    pub(crate) keys: &'a [(&'a str, &'a str)],
    /// Calls in all, and per second.
    pub(crate) calls: (u32, u32),
}

impl<'a> Play<'a> {
    /// One call of that scenario.
    pub(crate) fn new(scenario: &'a str, ip: IpAddr, server: SocketAddr) -> Self {
        Self {
            scenario,
            ip,
            port: None,
            server,
            number: "+15551230000",
            ear: None,
            keys: &[],
            calls: (1, 10),
        }
    }

    pub(crate) fn start(&self, lab: &Lab) -> Result<Sipp> {
        let address = SocketAddr::new(self.ip, self.port.unwrap_or(5_060));
        let name = format!(
            "sipp-{}-{}",
            self.scenario,
            self.ip.to_string().replace(':', "_")
        );
        let mut text = std::fs::read_to_string(Lab::data(&format!("{}.xml", self.scenario)))?;
        for (word, value) in self.keys {
            text = text.replace(word, value);
        }
        let file = lab.path(&format!("{name}.xml"));
        std::fs::write(&file, text)?;
        let calls = format!("e2e-{}-", STARTED.fetch_add(1, Ordering::Relaxed));
        let mut command = bounded("sipp", Duration::from_secs(400));
        command
            .arg(self.server.to_string())
            .arg("-sf")
            .arg(&file)
            .args(["-i", &address.ip().to_string()])
            .args(["-p", &address.port().to_string()])
            .args([
                "-s",
                self.number,
                "-nostdin",
                "-cid_str",
                &format!("{calls}%u"),
            ])
            .args([
                "-m",
                &self.calls.0.to_string(),
                "-r",
                &self.calls.1.to_string(),
            ])
            .args(["-l", "1000", "-trace_err", "-error_file"])
            .arg(lab.path(&format!("{name}.err")))
            .current_dir(&lab.dir);
        if let Some(ear) = self.ear {
            command.args(["-key", "ear_ip", &ear.ip().to_string()]);
            command.args(["-key", "ear_port", &ear.port().to_string()]);
        }
        let log = lab.path(&format!("{name}.log"));
        let process = Process::spawn(&name, &mut command, &log)?;
        Ok(Sipp {
            process,
            address,
            calls,
        })
    }
}

/// How many SIPps and signs there were. A Call-ID that came again would be a loop to the server, and rightly.
static STARTED: AtomicU32 = AtomicU32::new(0);

impl Sipp {
    /// Has the caller of the first call hang up: the scenario waits for this INFO.
    pub(crate) fn hang_up(&self) -> Result<()> {
        self.tell("INFO")
    }

    /// The same for the first `count` calls.
    pub(crate) fn hang_up_all(&self, count: u32) -> Result<()> {
        for number in 1..=count {
            self.tell_call("INFO", &format!("{}{number}", self.calls))?;
            crate::process::pause(2);
        }
        Ok(())
    }

    /// Sends a request into the first call, as a sign that the scenario waits for.
    pub(crate) fn tell(&self, method: &str) -> Result<()> {
        self.tell_call(method, &format!("{}1", self.calls))
    }

    /// The same into the call of that Call-ID, for an agent's.
    pub(crate) fn tell_call(&self, method: &str, call: &str) -> Result<()> {
        // The same bytes again would be a retransmission.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let socket = UdpSocket::bind((self.address.ip(), 0))?;
        let own = socket.local_addr()?;
        let text = format!(
            "{method} sip:phone@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKsign{number}\r\n\
             From: <sip:test@{own}>;tag=test\r\nTo: <sip:phone@{}>;tag=phone\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.address, self.address
        );
        socket.send_to(text.as_bytes(), self.address)?;
        Ok(())
    }

    /// Waits until all its calls are over; each must have gone as its scenario says.
    pub(crate) fn succeed(mut self, limit: Duration) -> Result<()> {
        let status = self.process.wait(limit)?;
        ensure!(
            status.success(),
            "SIPp ended with {status}: {} {}",
            tail(&self.process.log.with_extension("err")),
            tail(&self.process.log)
        );
        Ok(())
    }
}
