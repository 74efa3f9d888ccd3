//! The town: agents who register and answer, callers who call again and again, each with a socket
//! and a tone of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clock::Now;
use media::worker::MediaPlane;
use sip::transport::{Flow, ListenerId, Transport};
use sip::ua::Listener;
use tokio::net::UdpSocket;

use super::phone::{Act, Answering, Event, Heard, Output, Phone, PhonePlan};
use crate::io::clock::SystemClock;
use crate::io::media::{MediaConfig, Workers};

/// The agents, who are endpoints of the same names, and the tones that they speak.
pub(super) const AGENTS: [&str; 3] = ["anna", "ben", "chloe"];

/// How many callers there are: one more than agents, so that somebody waits.
const CALLERS: u16 = 5;

/// Ports for the town's own audio, away from the server's.
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_999;

/// What an agent's tone is; 523 Hz and its like, all far from the callers'.
fn agent_tone(index: u16) -> u16 {
    500 + 150 * index
}

fn caller_tone(index: u16) -> u16 {
    1_100 + 150 * index
}

/// Something that happened to a phone.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// The phone's user name.
    pub(super) who: String,
    /// Whether it is an agent's.
    pub(super) agent: bool,
    pub(super) what: Event,
}

/// One phone, its socket, and when it calls next.
struct Resident {
    phone: Phone,
    socket: UdpSocket,
    agent: bool,
    calls_at: Option<Now>,
}

/// Everybody.
pub(super) struct Town {
    residents: Vec<Resident>,
    media: Workers,
    clock: SystemClock,
    news: Vec<News>,
}

impl Town {
    /// Gives everybody a phone; agents register at once, callers call one after the other.
    ///
    /// # Errors
    /// When the system refuses sockets or a media thread.
    pub(super) async fn settle(
        server: SocketAddr,
        passwords: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let clock = SystemClock::start();
        let now = clock.now();
        let mut config = MediaConfig::at(server.ip(), u64::from(server.port()));
        config.ports = PORTS;
        config.workers = 1;
        config.realtime = false;
        let media = Workers::start(&config, now)?;
        let mut town = Self {
            residents: Vec::new(),
            media,
            clock,
            news: Vec::new(),
        };
        let callers: Vec<f32> = (0..CALLERS)
            .map(|index| f32::from(caller_tone(index)))
            .collect();
        let agents: Vec<f32> = (0..)
            .zip(AGENTS)
            .map(|(index, _)| f32::from(agent_tone(index)))
            .collect();
        for (index, (name, password)) in (0_u16..).zip(passwords) {
            let mut resident = resident(server, name, agent_tone(index), &callers).await?;
            resident.plan.password = Some(password.clone());
            resident.plan.answering = Answering::After(Duration::from_millis(1_500));
            resident.plan.script = vec![Act::Wait(TALK), Act::HangUp];
            let mut phone = Phone::new(resident.plan);
            phone.register(now);
            town.residents.push(Resident {
                phone,
                socket: resident.socket,
                agent: true,
                calls_at: None,
            });
        }
        for index in 0..CALLERS {
            let name = format!("+1555010{index:04}");
            let mut resident = resident(server, &name, caller_tone(index), &agents).await?;
            let key = if index % 2 == 0 { "2" } else { "1" };
            resident.plan.script = vec![Act::Wait(READS_MENU), Act::Press(key.to_owned())];
            town.residents.push(Resident {
                phone: Phone::new(resident.plan),
                socket: resident.socket,
                agent: false,
                calls_at: Some(now + FIRST_CALL + BETWEEN * u32::from(index)),
            });
        }
        Ok(town)
    }

    /// Everybody's turn: packets in, acts that are due, packets out. Returns what happened.
    pub(super) fn turn(&mut self) -> Vec<News> {
        let now = self.clock.now();
        while let Some((_, event)) = self.media.poll_event() {
            for resident in &mut self.residents {
                resident.phone.on_media(&event);
            }
        }
        for resident in &mut self.residents {
            resident.turn(now, &mut self.media, &mut self.news);
        }
        std::mem::take(&mut self.news)
    }
}

impl Resident {
    fn turn(&mut self, now: Now, media: &mut Workers, news: &mut Vec<News>) {
        let mut buffer = [0; 4_096];
        while let Ok((length, from)) = self.socket.try_recv_from(&mut buffer) {
            let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            self.phone.receive(now, media, flow_to(from), bytes);
        }
        if self.calls_at.is_some_and(|at| at <= now) && self.phone.is_idle() {
            self.calls_at = None;
            self.phone.call(now, media, super::NUMBER);
        }
        self.phone.handle_timeout(now, media);
        while let Some(output) = self.phone.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    // A datagram that is not taken is lost, as on any network: SIP sends it again.
                    let _ = self.socket.try_send_to(&bytes, flow.remote);
                }
                Output::Event(what) => {
                    let over = matches!(what, Event::Over(Heard { .. }) | Event::Refused(_));
                    if over && !self.agent {
                        self.calls_at = Some(now + PAUSE);
                    }
                    let who = self.phone.user().to_owned();
                    news.push(News {
                        who,
                        agent: self.agent,
                        what,
                    });
                }
            }
        }
    }
}

/// A phone-to-be and its socket.
struct Newcomer {
    plan: PhonePlan,
    socket: UdpSocket,
}

async fn resident(
    server: SocketAddr,
    name: &str,
    tone_hz: u16,
    listens_for: &[f32],
) -> anyhow::Result<Newcomer> {
    let socket = UdpSocket::bind((server.ip(), 0))
        .await
        .context("no socket for a phone")?;
    let local = socket.local_addr()?;
    let host = if local.is_ipv6() {
        format!("[{}]", local.ip())
    } else {
        local.ip().to_string()
    };
    let plan = PhonePlan {
        user: name.to_owned(),
        domain: server.to_string(),
        password: None,
        server: flow_to(server),
        listener: Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            advertised_host: host,
            advertised_port: local.port(),
        },
        tone_hz,
        listens_for: listens_for.to_vec(),
        answering: Answering::Refuse(486),
        script: Vec::new(),
        seed: u64::from(tone_hz) << 16 | u64::from(local.port()),
    };
    Ok(Newcomer { plan, socket })
}

fn flow_to(remote: SocketAddr) -> Flow {
    Flow::udp(ListenerId(0), remote)
}

/// How long an agent talks.
const TALK: Duration = Duration::from_secs(6);

/// How long a caller listens to the menu before pressing a key.
const READS_MENU: Duration = Duration::from_secs(3);

/// When the first caller calls: agents have registered by then.
const FIRST_CALL: Duration = Duration::from_secs(1);

/// Between the first calls of two callers.
const BETWEEN: Duration = Duration::from_secs(2);

/// Between a caller's calls.
const PAUSE: Duration = Duration::from_secs(4);
