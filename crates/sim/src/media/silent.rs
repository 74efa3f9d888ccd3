//! A worker without sound: what it tells is what a worker tells, and it costs nothing to tick.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use clock::{Duration, Now};
use media::Digit;
use media::port::{PlayId, PortId, PortStats};
use media::worker::{DtmfVia, PortCommand, PortEvent, Refusal};

/// A port's state as far as it can be told without sound.
#[derive(Debug, Default)]
struct Silence {
    remote: Option<SocketAddr>,
    receives: bool,
    /// What plays and when it ends; `None` for what repeats.
    playing: Option<(PlayId, Option<Now>)>,
    heard: VecDeque<(Now, Digit)>,
}

/// The engine.
#[derive(Debug, Default)]
pub(super) struct Silent {
    ports: BTreeMap<PortId, Silence>,
    events: VecDeque<PortEvent>,
}

/// Keys whose peer pressed them, and where they go.
pub(super) type Pressed = (SocketAddr, Box<[Digit]>);

impl Silent {
    pub(super) fn deadline(&self) -> Option<Now> {
        let plays = self.ports.values().filter_map(|port| port.playing?.1);
        let keys = self
            .ports
            .values()
            .filter_map(|port| Some(port.heard.front()?.0));
        plays.chain(keys).min()
    }

    pub(super) fn run(&mut self, now: Now) {
        for (id, port) in &mut self.ports {
            if let Some((play, Some(at))) = port.playing
                && at <= now
            {
                port.playing = None;
                self.events.push_back(PortEvent::Played {
                    port: *id,
                    play,
                    complete: true,
                });
            }
            while let Some((_, digit)) = port.heard.pop_front_if(|(at, _)| *at <= now) {
                self.events.push_back(PortEvent::Digit {
                    port: *id,
                    digit,
                    how: DtmfVia::Rfc4733,
                    duration_ms: 100,
                });
            }
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<PortEvent> {
        self.events.pop_front()
    }

    /// The peer's keys arrive, one each 150 ms.
    pub(super) fn pressed(&mut self, now: Now, port: PortId, digits: &[Digit]) {
        let Some(it) = self.ports.get_mut(&port).filter(|port| port.receives) else {
            return;
        };
        let first = it.heard.back().map_or(now, |(at, _)| *at);
        let mut at = first;
        for digit in digits {
            at += Duration::from_millis(150);
            it.heard.push_back((at, *digit));
        }
    }

    /// Carries a command out; returns keys to be carried to the peer.
    pub(super) fn command(&mut self, now: Now, command: PortCommand) -> Option<Pressed> {
        let id = command.port();
        if let PortCommand::Open(plan) = &command {
            let port = Silence {
                remote: plan.remote.map(|remote| remote.rtp),
                receives: plan.receive,
                ..Silence::default()
            };
            if self.ports.insert(id, port).is_some() {
                self.refuse(id, Refusal::PortExists);
            }
            return None;
        }
        let Some(port) = self.ports.get_mut(&id) else {
            self.refuse(id, Refusal::NoSuchPort);
            return None;
        };
        match command {
            PortCommand::Update(update) => {
                // A browser's place is not its description's to say.
                port.remote = update.remote.map(|remote| remote.rtp).or(port.remote);
                port.receives = update.receive;
            }
            PortCommand::Play { play, .. } => {
                let sounds: Duration = play.clips.iter().map(|clip| clip.duration()).sum();
                let end = (!play.repeat && !play.shared_clock).then(|| now + sounds);
                let before = port.playing.replace((play.id, end));
                self.ended(id, before);
            }
            PortCommand::Stop { play, .. } => {
                let before = port.playing.take_if(|(playing, _)| *playing == play);
                self.ended(id, before);
            }
            PortCommand::Path { to, .. } => port.remote = to,
            PortCommand::SendDigits { digits, .. } => return Some((port.remote?, digits)),
            PortCommand::Close { .. } => {
                let before = port.playing.take();
                self.ports.remove(&id);
                self.ended(id, before);
                let stats = PortStats::default();
                self.events.push_back(PortEvent::Closed { port: id, stats });
            }
            _ => {}
        }
        None
    }

    fn ended(&mut self, port: PortId, before: Option<(PlayId, Option<Now>)>) {
        if let Some((play, _)) = before {
            self.events.push_back(PortEvent::Played {
                port,
                play,
                complete: false,
            });
        }
    }

    fn refuse(&mut self, port: PortId, why: Refusal) {
        self.events.push_back(PortEvent::Refused { port, why });
    }
}
