//! What a call takes of the server's memory, as a slope, and what is left when all have hung up.
//!
//! The trace of calls has a bound for all of them together: it is held to the least, and reached by calls that
//! come and go before the first point. A point is taken when the calls' transactions are over; until then they talk.

use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use lab::args::{Args, object};
use lab::figures::load;
use lab::streams::{Streams, Voice};
use media::codec::opus::Settings;
use media::codec::{Codec, Decoder, Encoder};
use serde_json::{Value, json};

use crate::peers::tandem::{Sort, Tandem};
use crate::peers::{Peer, ends};
use crate::voices::{OPUS, said};

/// A server with calls, and those who talk in them.
struct Held {
    tandem: Tandem,
    streams: Streams,
    voices: [Rc<Voice>; 2],
    /// Calls that there have been.
    made: u32,
    rest: Duration,
}

impl Held {
    /// Begins calls until there are `calls`, and lets them talk; the resident memory then, in bytes.
    fn grow(&mut self, calls: usize) -> Result<f64, String> {
        while self.streams.count() < 2 * calls {
            let ends = ends(self.made);
            let sockets = ends.map(|end| UdpSocket::bind(end).unwrap());
            let to = self.tandem.call(self.made, ends)?;
            for ((socket, to), voice) in sockets.into_iter().zip(to).zip(&self.voices) {
                self.streams.join(socket, to, Some(voice));
            }
            self.made += 1;
        }
        let heard = self.streams.run(self.rest);
        if heard.deaf > 0 {
            return Err(format!("{} legs hear nothing", heard.deaf));
        }
        Ok(self.tandem.server().resident() as f64)
    }

    /// Ends all calls; what is resident when the last of them is forgotten.
    fn end(&mut self) -> f64 {
        self.tandem.end();
        self.streams = Streams::default();
        std::thread::sleep(self.rest);
        self.tandem.server().resident() as f64
    }
}

/// The slope of one sort of call, and twice the way back.
fn slope(args: &Args, sort: Sort, most: usize) -> Result<(f64, Value), String> {
    let steps = args.number("steps", 3.0) as usize;
    let ulaw = said(Encoder::new(Codec::Pcmu), 0, 160);
    let callee = match sort {
        Sort::Transcoded => said(Encoder::opus(Settings::default()), OPUS, 960),
        _ => Rc::clone(&ulaw),
    };
    let mut held = Held {
        tandem: Tandem::with(most.max(FIRST) as u32, sort, LITTLE_TRACE),
        streams: Streams::default(),
        voices: [ulaw, callee],
        made: 0,
        rest: Duration::from_secs_f64(args.number("rest", 36.0)),
    };
    held.grow(FIRST)?;
    let start = held.end();
    let mut points = Vec::new();
    for step in 1..=steps {
        let calls = most * step / steps;
        points.push((calls as f64, held.grow(calls)?));
        println!("{sort:?} {:?}; load {}", points[step - 1], load());
    }
    let ends = points.first().zip(points.last());
    let ((few, less), (many, more)) = ends.ok_or("want steps=2 or more")?;
    let slope = (more - less) / (many - few);
    let after = held.end();
    let again = held.grow(most)?;
    let after_again = held.end();
    println!(
        "{sort:?}: {:.1} kB a call; resident {:.1} MB at the start, {:.1} with {most} calls, {:.1} after; \
         {:.1} with as many again, {:.1} after",
        slope / 1e3,
        start / 1e6,
        more / 1e6,
        after / 1e6,
        again / 1e6,
        after_again / 1e6,
    );
    let told = json!({
        "bytes_a_call": slope, "start": start, "points": points, "after": after,
        "again": again, "after_again": after_again,
    });
    Ok((slope, told))
}

/// What a transcoded call's codecs keep by themselves: encoders and decoders in use in this process, bytes.
fn of_codecs() -> f64 {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = statm.split(' ').nth(1).and_then(|it| it.parse().ok());
        4_096.0 * pages.unwrap_or(0.0)
    };
    let (mut payload, mut sound) = ([0; 1_400], [0; 160]);
    let before = resident();
    let codecs: Vec<(Encoder, Decoder)> = (0..CODECS)
        .map(|_| {
            let mut encoder = Encoder::opus(Settings::default());
            let mut decoder = Decoder::new(Codec::Opus);
            encoder.tune(8_000);
            decoder.tune(8_000);
            let length = encoder.encode(&sound, &mut payload);
            decoder.decode(&payload[..length], &mut sound);
            (encoder, decoder)
        })
        .collect();
    (resident() - before) / codecs.len() as f64
}

pub(crate) fn memory(args: &Args) {
    let before = load();
    let codecs = of_codecs();
    let mut result = object(json!({
        "load_before": before, "codecs_bytes_a_call": codecs, "trace": LITTLE_TRACE,
    }));
    for (name, sort, most, goal) in [
        (
            "relayed",
            Sort::Relayed,
            args.number("calls", 1_500.0),
            24.0,
        ),
        (
            "transcoded",
            Sort::Transcoded,
            args.number("transcoded", 120.0),
            96.0,
        ),
    ] {
        if most == 0.0 {
            continue;
        }
        match slope(args, sort, most as usize) {
            Ok((slope, mut told)) => {
                let beside = if sort == Sort::Transcoded {
                    slope - codecs
                } else {
                    slope
                };
                println!(
                    "{name}: {:.1} kB a call beside its codecs' {:.1} (goal {goal})",
                    beside / 1e3,
                    (slope - beside) / 1e3
                );
                told["bytes_beside_codecs"] = json!(beside);
                result.insert(name.to_owned(), told);
            }
            Err(why) => println!("{name} left out: {why}"),
        }
    }
    args.report("memory", result);
}

/// What keeps all calls' traces together within a megabyte.
const LITTLE_TRACE: &str = "[trace]\nbytes = 1048576\n";
/// Coders and decoders that are weighed together.
const CODECS: usize = 256;
/// Calls that fill the trace, and whatever else has a bound.
const FIRST: usize = 100;
