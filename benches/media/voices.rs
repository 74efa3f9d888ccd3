//! Transcoding and playback: what a call costs each server whose sound it makes itself.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use lab::args::{Args, object};
use lab::figures::{load, median, percentile};
use lab::server::Server;
use lab::streams::{Heard, Streams, Voice};
use media::codec::opus::Settings;
use media::codec::{Codec, Decoder, Encoder};
use serde_json::{Value, json};

use crate::peers::rtpengine::{self, Rtpengine};
use crate::peers::tandem::{Sort, Tandem};
use crate::peers::{CALLER, Peer, ends};

/// One server's figures at so many calls.
struct Point {
    calls: usize,
    /// Processor time over the calls carried, ms a call-second.
    cost: f64,
    cores: f64,
    heard: Heard,
    /// Packets that all legs should hear.
    due: u64,
    resident: u64,
    load: String,
}

impl Point {
    fn late_us(&self) -> u32 {
        percentile(&self.heard.late_us, 99.0)
    }

    /// Whether it says something of the server: the legs were served in time, and all heard what was due.
    fn is_fair(&self) -> bool {
        self.late_us() <= 2_000 && self.heard.deaf == 0 && self.heard.heard * 1_000 > self.due * 995
    }

    fn json(&self) -> Value {
        json!({
            "calls": self.calls, "cpu_ms_a_call_second": self.cost, "cores": self.cores,
            "due": self.due, "heard": self.heard.heard, "lost": self.heard.lost, "deaf": self.heard.deaf,
            "gap_max_ms": self.heard.gap_ns as f64 / 1e6, "resident": self.resident,
            "talkers_late_p99_us": self.late_us(), "talkers_busy": self.heard.busy, "load": self.load,
        })
    }

    fn say(&self, name: &str) {
        println!(
            "{name:10} {:5} calls: {:.3} ms a call-second, {:.2} of a core; heard {} of {}, lost {}, deaf {}; \
             largest gap {:.1} ms; resident {:.1} MB; talkers late p99 {} us, busy {:.2}{}; load {}",
            self.calls,
            self.cost,
            self.cores,
            self.heard.heard,
            self.due,
            self.heard.lost,
            self.heard.deaf,
            self.heard.gap_ns as f64 / 1e6,
            self.resident as f64 / 1e6,
            self.late_us(),
            self.heard.busy,
            if self.is_fair() { "" } else { " (refused)" },
            self.load,
        );
    }
}

fn measure(server: &Server, streams: &mut Streams, calls: usize, lasts: Duration) -> Point {
    streams.run(WARM);
    let before = server.cpu();
    let heard = streams.run(lasts);
    let cpu = (server.cpu() - before).as_secs_f64();
    let seconds = lasts.as_secs_f64();
    Point {
        calls,
        cost: cpu * 1e3 / (calls as f64 * seconds),
        cores: cpu / seconds,
        due: streams.count() as u64 * lasts.as_millis() as u64 / 20,
        heard,
        resident: server.resident(),
        load: load(),
    }
}

/// Two seconds that resemble speech: three partials, syllables, a little noise; 20 ms each, at 8 kHz.
fn words() -> Vec<[i16; 160]> {
    let mut noise = 0x2545_F491_4F6C_DD1Du64;
    let mut sample = |n: usize| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        let t = n as f64 / 8_000.0;
        let syllable = (t * 4.0 * std::f64::consts::TAU).sin().max(0.0);
        let partial = |hz: f64, level: f64| level * (t * hz * std::f64::consts::TAU).sin();
        let voice = partial(140.0, 5_000.0) + partial(720.0, 3_000.0) + partial(1_900.0, 1_200.0);
        (voice * syllable + (noise % 200) as f64 - 100.0) as i16
    };
    (0..100)
        .map(|frame| std::array::from_fn(|at| sample(160 * frame + at)))
        .collect()
}

/// Those words, encoded.
pub(crate) fn said(mut encoder: Encoder, payload_type: u8, step: u32) -> Rc<Voice> {
    encoder.tune(8_000);
    let encode = |words: &[i16; 160]| {
        let mut out = [0; 1_400];
        let length = encoder.encode(words, &mut out);
        out[..length].to_vec()
    };
    Rc::new(Voice {
        payload_type,
        step,
        payloads: words().iter().map(encode).collect(),
    })
}

/// What the codecs of a transcoded call cost by themselves, ms a call-second: both directions.
fn of_codecs(settings: Settings, opus: &Voice) -> f64 {
    let words = words();
    let mut encoder = Encoder::opus(settings);
    encoder.tune(8_000);
    let mut decoder = Decoder::new(Codec::Opus);
    decoder.tune(8_000);
    let (mut ulaw, mut from_ulaw) = (Encoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu));
    let (mut out, mut sound) = ([0; 1_400], [0; 160]);
    let rounds = 20;
    let began = lab::pace::thread_time();
    for _ in 0..rounds {
        for (words, payload) in words.iter().zip(&opus.payloads) {
            decoder.decode(payload, &mut sound);
            let length = ulaw.encode(&sound, &mut out);
            from_ulaw.decode(&out[..length], &mut sound);
            encoder.encode(words, &mut out);
        }
    }
    let spent = lab::pace::thread_time() - began;
    let frames = (rounds * words.len()) as f64;
    spent as f64 / frames * 50.0 / 1e6
}

/// A caller speaks PCMU, a callee Opus; each hears the other in its own codec.
pub(crate) fn transcode(args: &Args) {
    let calls = args.number("calls", 100.0) as u32;
    let lasts = Duration::from_secs_f64(args.number("seconds", 8.0));
    let before = load();
    let settings = Settings::default();
    let opus = said(Encoder::opus(settings), OPUS, 960);
    let ulaw = said(Encoder::new(Codec::Pcmu), 0, 160);
    let mut points: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    let mut codecs = Vec::new();
    for _ in 0..args.number("repeat", 3.0) as usize {
        codecs.push(of_codecs(settings, &opus));
        println!(
            "codecs alone: {:.3} ms a call-second",
            codecs[codecs.len() - 1]
        );
        let (mut streams, mut tandem) = (Streams::default(), Tandem::of(calls, Sort::Transcoded));
        let joined = transcoded(&mut tandem, calls, &mut streams, (&ulaw, &opus));
        note(
            &mut points,
            "tandem",
            joined,
            tandem.server(),
            &mut streams,
            calls,
            lasts,
        );
        // Their sockets are those of the next server's callers.
        drop((tandem, streams));
        match Rtpengine::start(rtpengine::DEBIAN) {
            Ok(mut peer) => {
                let mut streams = Streams::default();
                peer.transcode();
                let joined = transcoded(&mut peer, calls, &mut streams, (&ulaw, &opus));
                note(
                    &mut points,
                    "rtpengine",
                    joined,
                    peer.server(),
                    &mut streams,
                    calls,
                    lasts,
                );
            }
            Err(why) => println!("rtpengine  left out: {why}"),
        }
    }
    let codecs = median(&codecs);
    let tandem = mid(&points, "tandem");
    let of_codecs = tandem.map(|it| it / codecs);
    let of_rtpengine = tandem.zip(mid(&points, "rtpengine")).map(|(a, b)| a / b);
    println!("tandem / codecs {of_codecs:.2?} (goal 1.15), tandem / rtpengine {of_rtpengine:.2?}");
    args.report(
        "transcode",
        object(json!({
            "calls": calls, "seconds": lasts.as_secs_f64(), "codecs_ms_a_call_second": codecs,
            "points": told(&points), "of_codecs": of_codecs, "of_rtpengine": of_rtpengine,
            "load_before": before,
        })),
    );
}

fn transcoded(
    peer: &mut dyn Peer,
    calls: u32,
    streams: &mut Streams,
    (ulaw, opus): (&Rc<Voice>, &Rc<Voice>),
) -> Result<(), String> {
    for n in 0..calls {
        let ends = ends(n);
        let [caller, callee] = ends.map(|end| UdpSocket::bind(end).unwrap());
        let to = peer.call(n, ends)?;
        streams.join(caller, to[0], Some(ulaw));
        streams.join(callee, to[1], Some(opus));
    }
    Ok(())
}

/// Callers who hear hold music, and send or do not (`talking`).
pub(crate) fn playback(args: &Args) {
    let calls = args.number("calls", 4_800.0) as u32;
    let lasts = Duration::from_secs_f64(args.number("seconds", 8.0));
    let before = load();
    let ulaw = said(Encoder::new(Codec::Pcmu), 0, 160);
    let voice = (args.number("talking", 0.0) > 0.0).then_some(&ulaw);
    let mut points: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for _ in 0..args.number("repeat", 3.0) as usize {
        let mut streams = Streams::default();
        let mut tandem = Tandem::of(calls, Sort::Waiting);
        let joined = (0..calls).try_for_each(|n| {
            let end = std::net::SocketAddr::from((CALLER, 10_000 + n as u16));
            let socket = UdpSocket::bind(end).unwrap();
            streams.join(socket, tandem.enter(n, "5000", end)?, voice);
            Ok(())
        });
        note(
            &mut points,
            "tandem",
            joined,
            tandem.server(),
            &mut streams,
            calls,
            lasts,
        );
    }
    args.report(
        "playback",
        object(json!({
            "calls": calls, "seconds": lasts.as_secs_f64(), "talking": voice.is_some(),
            "points": told(&points), "load_before": before,
        })),
    );
}

fn note(
    points: &mut BTreeMap<&'static str, Vec<Point>>,
    name: &'static str,
    joined: Result<(), String>,
    server: &Server,
    streams: &mut Streams,
    calls: u32,
    lasts: Duration,
) {
    match joined {
        Ok(()) => {
            let point = measure(server, streams, calls as usize, lasts);
            point.say(name);
            points.entry(name).or_default().push(point);
        }
        Err(why) => println!("{name:10} left out: {why}"),
    }
}

fn mid(points: &BTreeMap<&str, Vec<Point>>, name: &str) -> Option<f64> {
    let fair = points.get(name)?.iter().filter(|point| point.is_fair());
    let values: Vec<f64> = fair.map(|point| point.cost).collect();
    (!values.is_empty()).then(|| median(&values))
}

fn told(points: &BTreeMap<&str, Vec<Point>>) -> BTreeMap<String, Vec<Value>> {
    let each = points.iter();
    each.map(|(name, points)| ((*name).to_owned(), points.iter().map(Point::json).collect()))
        .collect()
}

/// The payload type of Opus.
pub(crate) const OPUS: u8 = 111;
const WARM: Duration = Duration::from_secs(2);
