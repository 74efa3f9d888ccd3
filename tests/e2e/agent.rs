//! An agent, at the kind of phone that the run is about: a SIP phone, or a browser in its place.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::baresip::{Baresip, Over};
use crate::capture::Traffic;
use crate::chromium::Chromium;
use crate::lab::Lab;
use crate::server::Server;
use crate::sound::Sound;

pub(crate) enum Agent {
    Phone(Baresip),
    Browser(Chromium),
}

impl Agent {
    /// Starts the phone of `name`, saying a tone of `hz`, and waits until it is registered. With
    /// `answers` it takes calls by itself.
    pub(crate) fn start(
        lab: &Lab,
        server: &Server,
        name: &str,
        over: Over,
        hz: u32,
        answers: bool,
    ) -> Result<Self> {
        if !lab.browsers {
            let phone = Baresip::start(lab, server, name, over, hz, answers)?;
            return Ok(Self::Phone(phone));
        }
        let browser = Chromium::start(lab, server, (name, over), hz, answers)?;
        Ok(Self::Browser(browser))
    }

    /// Gives it a command, such as `hold` or `hangup`.
    pub(crate) fn command(&mut self, command: &str, parameter: &str) -> Result<()> {
        match self {
            Self::Phone(it) => it.command(command, parameter),
            Self::Browser(it) => it.command(command, parameter),
        }
    }

    /// Waits for an event, such as `CALL_CLOSED`; gives the second when it came, since 1970.
    pub(crate) fn event(&mut self, kind: &str, limit: Duration) -> Result<f64> {
        match self {
            Self::Phone(it) => it.event(kind, limit),
            Self::Browser(it) => it.event(kind, limit),
        }
    }

    /// What it was sent in its first call; of a browser, whose packets are secret, what it has played.
    pub(crate) fn heard(&self, traffic: &Traffic, server: &Server) -> Result<Sound> {
        let first = match self {
            Self::Phone(it) => {
                let mut streams = traffic.streams_at(server.ip, &it.rtp).into_iter();
                streams.next().map(|(_, stream)| stream.sound())
            }
            Self::Browser(it) => it.heard()?.into_iter().next(),
        };
        first.context("the agent's phone got no audio")
    }

    /// What the phone itself has decoded in its first call.
    pub(crate) fn played(&self) -> Result<Sound> {
        let calls = match self {
            Self::Phone(it) => it.heard()?,
            Self::Browser(it) => it.heard()?,
        };
        let first = calls.into_iter().next();
        first.context("the agent's phone has written nothing down")
    }
}
