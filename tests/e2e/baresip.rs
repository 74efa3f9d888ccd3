//! baresip as an agent's phone: it registers with digest, answers, speaks a tone, writes down what it hears.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use media::dsp::{Goertzel, Tone};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::process::{Process, bounded, wait_for};
use crate::server::Server;
use crate::sound::{RATE, Sound, TONE_DBFS};

/// A running baresip.
pub(crate) struct Baresip {
    /// Kept for its end.
    _process: Process,
    /// Where it may receive audio.
    pub(crate) rtp: RangeInclusive<SocketAddr>,
    dir: PathBuf,
    control: TcpStream,
    received: Vec<u8>,
    events: Vec<(f64, Value)>,
}

/// How it reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
}

impl Over {
    fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }

    fn port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// The codecs of an account that has no others.
const G711: &str = ";audio_codecs=PCMU,PCMA";

impl Baresip {
    /// Starts the phone of `name`, speaking a tone of `hz`, and waits until it is registered. With
    /// `answers` it takes calls by itself.
    ///
    /// It is at 127.0.0.1 and nowhere else: it sends audio from the address that the system chooses,
    /// and the server takes audio only from the address that the SDP names.
    pub(crate) fn start(
        lab: &Lab,
        server: &Server,
        name: &str,
        over: Over,
        hz: u32,
        answers: bool,
    ) -> Result<Self> {
        Self::start_with(lab, server, name, (over, G711), hz, answers)
    }

    /// The same with parameters of its account, such as its codecs, or `;mediaenc=srtp`.
    pub(crate) fn start_with(
        lab: &Lab,
        server: &Server,
        name: &str,
        (over, parameters): (Over, &str),
        hz: u32,
        answers: bool,
    ) -> Result<Self> {
        let (sip, control, rtp) = (free_port()?, free_port()?, free_port()?);
        let phone = format!("baresip-{name}-{hz}");
        let dir = lab.path(&phone);
        std::fs::create_dir_all(&dir)?;
        let tone = dir.join("tone.wav");
        // Its file must have the channels that the codec declares.
        let channels = if parameters.contains("opus") { 2 } else { 1 };
        write_tone(&tone, hz, TONE_SECS, channels)?;
        std::fs::write(
            dir.join("config"),
            configuration([sip, control, rtp], &dir, &tone),
        )?;
        std::fs::write(dir.join("contacts"), "")?;
        let answer = if answers { "auto" } else { "manual" };
        let account = format!(
            "<sip:{name}@{}:{}{}>;auth_user={name};auth_pass=secret-{name};regint=120;\
             answermode={answer}{parameters}\n",
            server.ip,
            over.port(),
            over.parameter()
        );
        std::fs::write(dir.join("accounts"), account)?;
        let mut command = bounded("baresip", LONGEST);
        command
            .arg("-f")
            .arg(&dir)
            .args(["-v", "-s"])
            .current_dir(&dir);
        let log = lab.path(&format!("{phone}.log"));
        let process = Process::spawn("baresip", &mut command, &log)?;
        let control = wait_for(Duration::from_secs(15), "baresip's control port", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, control)).ok()
        })?;
        control.set_read_timeout(Some(Duration::from_millis(5)))?;
        let phone = Self {
            _process: process,
            rtp: SocketAddr::from((Ipv4Addr::LOCALHOST, rtp))
                ..=SocketAddr::from((Ipv4Addr::LOCALHOST, rtp + RTP_PORTS)),
            dir,
            control,
            received: Vec::new(),
            events: Vec::new(),
        };
        wait_for(Duration::from_secs(20), "baresip to register", || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains("200 OK").then_some(())
        })
        .and_then(|()| server.reachable(name))
        .with_context(|| crate::process::tail(&log))?;
        Ok(phone)
    }

    /// Gives it a command of its menu, such as `hold` or `hangup`.
    pub(crate) fn command(&mut self, command: &str, parameter: &str) -> Result<()> {
        let text = json!({ "command": command, "params": parameter, "token": "e2e" }).to_string();
        self.control
            .write_all(format!("{}:{text},", text.len()).as_bytes())?;
        Ok(())
    }

    /// Waits for an event, such as `CALL_CLOSED`; gives the second when it came, since 1970.
    pub(crate) fn event(&mut self, kind: &str, limit: Duration) -> Result<f64> {
        let what = format!("baresip's {kind}");
        wait_for(limit, &what, || {
            self.read();
            let found = self.events.iter().position(|(_, it)| it["type"] == kind)?;
            Some(self.events.remove(found).0)
        })
    }

    /// Netstrings of JSON: `12:{"event":…},`.
    fn read(&mut self) {
        let mut bytes = [0; 4_096];
        while let Ok(len @ 1..) = self.control.read(&mut bytes) {
            self.received.extend_from_slice(&bytes[..len]);
        }
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        while let Some(colon) = self.received.iter().position(|&it| it == b':') {
            let len = std::str::from_utf8(&self.received[..colon])
                .ok()
                .and_then(|it| it.parse::<usize>().ok());
            let Some(len) = len else {
                self.received.clear();
                return;
            };
            if self.received.len() < colon + len + 2 {
                return;
            }
            let text = &self.received[colon + 1..=colon + len];
            if let Ok(event) = serde_json::from_slice(text) {
                self.events.push((now, event));
            }
            self.received.drain(..colon + len + 2);
        }
    }

    /// What the phone has played to the agent's ear, in the order of its calls.
    pub(crate) fn heard(&self) -> Result<Vec<Sound>> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.dir)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        files.iter().map(|file| Sound::wav(file, 0)).collect()
    }
}

impl Baresip {
    /// The loudest second of a tone in what the phone has played, at whatever rate it wrote that.
    pub(crate) fn played(&self, hz: u32) -> Result<f32> {
        let mut loudest = -100.0_f32;
        for entry in std::fs::read_dir(&self.dir)? {
            let file = entry?.path();
            if !file.to_string_lossy().ends_with("-dec.wav") {
                continue;
            }
            let mut reader = hound::WavReader::open(&file)?;
            let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
            let samples: Vec<i16> = reader
                .samples::<i16>()
                .filter_map(Result::ok)
                .step_by(channels.max(1).into())
                .collect();
            let tone = Goertzel::new(hz as f32, rate);
            let levels = samples.chunks_exact(rate as usize).map(|it| tone.dbfs(it));
            loudest = levels.fold(loudest, f32::max);
        }
        Ok(loudest)
    }
}

/// Ports for audio: several calls at once, two each.
const RTP_PORTS: u16 = 20;

/// An even port that nobody has over UDP or TCP, and that is not soon given to somebody else.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..1_000 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        let fits = port % 2 == 0 && port < u16::MAX - RTP_PORTS;
        if fits && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

fn configuration(
    [sip, control, rtp]: [u16; 3],
    dir: &std::path::Path,
    tone: &std::path::Path,
) -> String {
    let modules = ["g711", "g722", "opus", "aufile", "sndfile", "uuid", "srtp"]
        .map(|it| format!("module {it}.so\n"));
    let apps =
        ["account", "menu", "ctrl_tcp", "debug_cmd"].map(|it| format!("module_app {it}.so\n"));
    format!(
        "module_path /usr/lib/baresip/modules\n{}{}\
         sip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n\
         sip_verify_server no\n\
         opus_bitrate 24000\n\
         audio_source aufile,{}\nausrc_srate 8000\nauplay_srate 8000\naudio_srate 8000\n\
         snd_path {}\nrtp_ports {rtp}-{}\n",
        modules.concat(),
        apps.concat(),
        tone.display(),
        dir.display(),
        rtp + RTP_PORTS
    )
}

/// A WAV file of one tone, the same in each channel.
pub(crate) fn write_tone(
    file: &std::path::Path,
    hz: u32,
    secs: usize,
    channels: u16,
) -> Result<()> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut samples = vec![0; secs * RATE];
    let mut tone = Tone::new(hz as f32, TONE_DBFS);
    samples.chunks_mut(160).for_each(|chunk| tone.fill(chunk));
    let mut writer = hound::WavWriter::create(file, spec)?;
    for sample in samples {
        for _ in 0..channels {
            writer.write_sample(sample)?;
        }
    }
    Ok(writer.finalize()?)
}

/// How long a phone lives at most: longer than the longest scenario.
const LONGEST: Duration = Duration::from_secs(400);

/// How long its tone is: with the last sample it hangs up.
const TONE_SECS: usize = 360;
