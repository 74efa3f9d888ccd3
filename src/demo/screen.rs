//! What the demo shows: one line a thing that happens, and where the recordings are.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::phone::{Event as PhoneEvent, Heard};
use super::town::News;
use crate::call::CallId;
use crate::control::{Event, What};

/// A call as the screen follows it.
#[derive(Default)]
struct Followed {
    /// The how manyth call it is: its id is a long number.
    number: u32,
    recording: Option<String>,
    bridged: bool,
}

/// The terminal.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
    recordings: PathBuf,
    calls: BTreeMap<CallId, Followed>,
    /// Calls so far.
    count: u32,
    /// Callers, and agents, who heard the other side.
    heard: (u32, u32),
    recorded: u32,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, recordings: PathBuf) -> Self {
        Self {
            out,
            recordings,
            calls: BTreeMap::new(),
            count: 0,
            heard: (0, 0),
            recorded: 0,
        }
    }

    pub(super) fn welcome(
        &mut self,
        sip: SocketAddr,
        http: SocketAddr,
        number: &str,
    ) -> io::Result<()> {
        writeln!(
            self.out,
            "A contact centre on loopback: callers, a menu, two queues, three agents."
        )?;
        writeln!(
            self.out,
            "  call it   from any SIP phone on this machine: sip:{number}@{sip} (UDP)"
        )?;
        writeln!(
            self.out,
            "  watch it  http://{http}/metrics, http://{http}/readyz"
        )?;
        writeln!(self.out, "  stop it   Ctrl-C")?;
        writeln!(self.out)?;
        self.out.flush()
    }

    /// Calls that were recorded, and in which each party heard the other.
    pub(super) fn good_calls(&self) -> u32 {
        self.recorded.min(self.heard.0).min(self.heard.1)
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let Some(call) = event.call else {
            return self.without_call(event);
        };
        let text = match &event.what {
            What::Initiated { from, to } => {
                self.count += 1;
                let followed = Followed {
                    number: self.count,
                    ..Followed::default()
                };
                self.calls.insert(call, followed);
                format!("{from} calls {to}")
            }
            What::Answered => "answered: the menu speaks".to_owned(),
            What::Digit(digit) => format!("pressed {digit}"),
            What::Queued { queue } => format!("waits in \"{queue}\", with music"),
            What::Conferring { name } => format!("is in the conference \"{name}\""),
            What::Offered { agent } => format!("rings {agent}"),
            What::Bridged { with } => {
                self.calls.entry(call).or_default().bridged = true;
                format!("talks to {with}")
            }
            What::Transferred { by, to, .. } => format!("was handed on by {by} to {to}"),
            What::Recording { file } => {
                self.calls.entry(call).or_default().recording = Some(file.clone());
                return Ok(());
            }
            What::Trouble(why) => format!("trouble: {why}"),
            What::HungUp { cause } => return self.hung_up(event, call, cause.name()),
            What::Step { .. } => return Ok(()),
            _ => return Ok(()),
        };
        self.line(event, call, &text)
    }

    fn hung_up(&mut self, event: &Event, call: CallId, cause: &str) -> io::Result<()> {
        self.line(event, call, &format!("ended ({cause})"))?;
        let followed = self.calls.remove(&call).unwrap_or_default();
        let Some(file) = followed.recording.filter(|_| followed.bridged) else {
            return Ok(());
        };
        self.recorded += 1;
        let path = self.recordings.join(file);
        if self.recorded == 1 {
            writeln!(
                self.out,
                "\n  a recording, caller left, agent right:\n    {}\n",
                path.display()
            )?;
        }
        self.out.flush()
    }

    fn without_call(&mut self, event: &Event) -> io::Result<()> {
        if let What::Refused { status, why, .. } = &event.what {
            writeln!(
                self.out,
                "{:>7.2} s  refused ({status}): {why}",
                event.at.as_millis() as f64 / 1e3
            )?;
            return self.out.flush();
        }
        Ok(())
    }

    fn line(&mut self, event: &Event, call: CallId, text: &str) -> io::Result<()> {
        let seconds = event.at.as_millis() as f64 / 1_000.0;
        let number = self.calls.get(&call).map_or(0, |it| it.number);
        writeln!(self.out, "{seconds:>7.2} s  call {number:<3} {text}")?;
        self.out.flush()
    }

    /// What a phone of the town tells: whether it heard the other side.
    pub(super) fn news(&mut self, news: &News) -> io::Result<()> {
        match &news.what {
            PhoneEvent::Registered(Err(status)) => {
                writeln!(
                    self.out,
                    "           {} cannot register: {status}",
                    news.who
                )
            }
            PhoneEvent::Over(heard) => self.heard(news, heard),
            _ => Ok(()),
        }
    }

    fn heard(&mut self, news: &News, heard: &Heard) -> io::Result<()> {
        let loudest = heard
            .tones
            .iter()
            .filter(|tone| tone.frames_present >= 50)
            .max_by_key(|tone| tone.frames_present);
        let Some(tone) = loudest else { return Ok(()) };
        let count = if news.agent {
            &mut self.heard.1
        } else {
            &mut self.heard.0
        };
        *count += 1;
        let seconds = f64::from(tone.frames_present) / 50.0;
        let who = &news.who;
        let (hz, level) = (tone.hz, tone.peak_dbfs);
        writeln!(
            self.out,
            "           {who} heard {hz:.0} Hz for {seconds:.1} s at {level:.0} dBFS"
        )
    }

    pub(super) fn goodbye(&mut self) -> io::Result<()> {
        let path = self.recordings.display();
        writeln!(self.out, "\n{} calls recorded below {path}", self.recorded)?;
        self.out.flush()
    }
}
