//! Recordings under bad luck: a killed server, a full disk; and under somebody's hand: paused, masked,
//! encrypted, with consent. What is in a file is told by a player of others: ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use media::Digit;
use rustix::process::Signal;
use serde_json::Value;

use super::smoke::{AGENT, CALLER, Caller};
use crate::agent::Agent;
use crate::baresip::Over;
use crate::lab::Lab;
use crate::process::{bounded, pause, wait_for};
use crate::server::{Server, Setup, time};
use crate::sound::Sound;

const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(10);

/// The usual agent, and lines of `[recording]`.
fn recording(lines: &str) -> Setup {
    let mut setup = Setup::agents(&["alice"]);
    setup.config += &format!("[recording]\n{lines}\n");
    setup
}

/// A caller and an agent who hear each other.
fn talk(lab: &Lab, server: &Server, secs: f64) -> Result<(Agent, Caller)> {
    let agent = Agent::start(lab, server, "alice", Over::Udp, AGENT, true)?;
    let caller = Caller::call(lab, server, "caller")?;
    caller.choose_support(server)?;
    caller.hears_tone(AGENT, secs, START)?;
    Ok((agent, caller))
}

fn hang_up(caller: Caller) -> Result<()> {
    caller.sipp.hang_up()?;
    caller.sipp.succeed(END)
}

/// The first record's recordings, once they are told.
fn recorded(server: &Server, count: usize) -> Result<(Value, Vec<Value>)> {
    wait_for(END, "what became of the recordings", || {
        let cdr = server.cdrs(1).ok()?.remove(0);
        let list = cdr["recordings"].as_array()?.clone();
        (list.len() >= count).then_some((cdr, list))
    })
}

fn file_of(server: &Server, recording: &Value) -> Result<PathBuf> {
    let file = recording["file"].as_str().context("no file")?;
    Ok(server.data.join("recordings").join(file))
}

/// The newest file below the recordings folder.
fn newest(server: &Server) -> Result<PathBuf> {
    let mut found = Vec::new();
    for day in std::fs::read_dir(server.data.join("recordings"))?.flatten() {
        if day.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        for file in std::fs::read_dir(day.path())?.flatten() {
            found.push((file.metadata()?.modified()?, file.path()));
        }
    }
    found.sort();
    Ok(found.pop().context("no recording")?.1)
}

/// Both sides as ffmpeg plays them.
fn played(lab: &Lab, file: &Path) -> Result<[Sound; 2]> {
    let to = lab.path("played.wav");
    let mut player = bounded("ffmpeg", Duration::from_secs(60));
    player.args(["-y", "-v", "error", "-i"]).arg(file);
    let run = player.args(["-ar", "8000", "-c:a", "pcm_s16le"]).arg(&to);
    let run = run.output().context("ffmpeg")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "ffmpeg: {said}");
    Ok([Sound::wav(&to, 0)?, Sound::wav(&to, 1)?])
}

/// Each side holds its own party alone.
fn sides(sounds: &[Sound; 2], gap_ms: usize) -> Result<()> {
    let [left, right] = sounds;
    left.hears("the left side", CALLER as f32, gap_ms)?;
    left.never_hears("the left side", AGENT as f32)?;
    right.hears("the right side", AGENT as f32, gap_ms)?;
    right.never_hears("the right side", CALLER as f32)
}

/// SIGKILL in mid-call: what is on the disk plays, before anybody mends it.
pub(crate) fn killed_wav(lab: &Lab) -> Result<String> {
    killed(lab, "format = \"wav\"")
}

/// The same of Ogg/Opus.
pub(crate) fn killed_opus(lab: &Lab) -> Result<String> {
    killed(lab, "format = \"opus\"")
}

fn killed(lab: &Lab, lines: &str) -> Result<String> {
    let setup = recording(lines);
    let server = Server::start(lab, &setup)?;
    let (_agent, caller) = talk(lab, &server, 5.0)?;
    let heard = caller.hears_tone(AGENT, 5.0, START)?;
    server.process.signal(Signal::KILL)?;
    let mut server = server;
    server.process.wait(Duration::from_secs(5))?;
    drop(caller);
    let file = newest(&server)?;
    let cut = played(lab, &file)?;
    let talked = heard.last - heard.first;
    ensure!(
        cut[0].secs() > talked - 1.5,
        "{:.2} s play of {talked:.2}",
        cut[0].secs()
    );
    sides(&cut, 60)?;
    // The next start lets it tell its true length, and the next call is recorded too.
    let server = Server::restart(lab, &setup)?;
    let mended = played(lab, &file)?;
    ensure!(
        mended[0].secs() >= cut[0].secs() - 0.01,
        "mending lost {:.2} s",
        cut[0].secs() - mended[0].secs()
    );
    server.stop()?;
    Ok(format!(
        "{:.2} s play of {talked:.2}, {:.2} once mended",
        cut[0].secs(),
        mended[0].secs()
    ))
}

/// SIGKILL, and the file opens with its key alone, up to its last whole second.
pub(crate) fn sealed(lab: &Lab) -> Result<String> {
    let (key, other) = (lab.path("key"), lab.path("other"));
    std::fs::write(&key, "5a".repeat(32) + "\n")?;
    std::fs::write(&other, "a5".repeat(32))?;
    let setup = recording(&format!("format = \"opus\"\nkey_file = {key:?}"));
    let server = Server::start(lab, &setup)?;
    let (_agent, caller) = talk(lab, &server, 4.0)?;
    hang_up(caller)?;
    let (_, list) = recorded(&server, 1)?;
    ensure!(list[0]["encrypted"] == true, "not encrypted: {}", list[0]);
    let whole = file_of(&server, &list[0])?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 4.0, START)?;
    server.process.signal(Signal::KILL)?;
    let mut server = server;
    server.process.wait(Duration::from_secs(5))?;
    drop(caller);
    let cut = newest(&server)?;
    ensure!(cut != whole, "the second call was not recorded");
    let mut secs = Vec::new();
    for file in [&whole, &cut] {
        ensure!(played(lab, file).is_err(), "it plays without its key");
        let out = lab.path("opened.opus");
        let _ = std::fs::remove_file(&out);
        let wrong = open(file, &other, &out)?;
        ensure!(!wrong.0 && !out.exists(), "another key opens it");
        ensure!(wrong.1.contains("wants the key"), "said: {}", wrong.1);
        let right = open(file, &key, &out)?;
        ensure!(right.0, "its key does not open it: {}", right.1);
        let sounds = played(lab, &out)?;
        sides(&sounds, 60)?;
        secs.push(sounds[0].secs());
    }
    Ok(format!(
        "opens with its key alone: {:.2} s, and {:.2} s of the one that was cut off",
        secs[0], secs[1]
    ))
}

/// Whether `tandem recording open` did it, and what it said.
fn open(file: &Path, key: &Path, out: &Path) -> Result<(bool, String)> {
    let run = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["recording", "open"])
        .arg(file)
        .arg("--key-file")
        .arg(key)
        .arg("--out")
        .arg(out)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr) + String::from_utf8_lossy(&run.stdout);
    Ok((run.status.success(), said.into_owned()))
}

/// A small file system that is gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, kilobytes: u32) -> Result<Self> {
        std::fs::create_dir_all(&at)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]);
        let done = mount.arg(&at).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "mount: {said}");
        Ok(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk is full in mid-call, and has room again: the call hears nothing of it, the file has one hole
/// of that length, and it is told.
pub(crate) fn disk_full(lab: &Lab) -> Result<String> {
    let folder = lab.path("data").join("recordings");
    let small = Small::mount(folder.clone(), 1_024)?;
    let server = Server::start(lab, &recording("format = \"wav\""))?;
    let (_agent, caller) = talk(lab, &server, 3.0)?;
    let ballast = folder.join("ballast");
    let filled = std::fs::write(&ballast, vec![1; 1 << 20]);
    ensure!(filled.is_err(), "the small disk took a megabyte");
    pause(4_000);
    std::fs::remove_file(&ballast)?;
    pause(4_000);
    let heard = caller.hears_tone(AGENT, 10.0, START)?;
    ensure!(heard.gap_ms <= 40, "the caller heard a gap: {heard:?}");
    let full = server.gauges()?["tandem_recordings_disk_full_total"];
    hang_up(caller)?;
    let (cdr, list) = recorded(&server, 1)?;
    let holes = list[0]["holes"].as_array().context("no holes")?.clone();
    ensure!(
        holes.len() == 1 && holes[0]["why"] == "disk-full",
        "holes: {holes:?}"
    );
    let (at, lasts) = (&holes[0]["at"], &holes[0]["duration"]);
    let (at, lasts) = (at.as_f64().unwrap_or(0.0), lasts.as_f64().unwrap_or(0.0));
    ensure!((3.0..6.0).contains(&lasts), "the hole lasts {lasts:.2} s");
    let off_ms = length_off_ms(&cdr, &list[0])?;
    ensure!(off_ms.abs() <= 20.0, "the recording is {off_ms:.0} ms off");
    let sounds = played(lab, &file_of(&server, &list[0])?)?;
    let left = &sounds[0];
    for (from, to, there) in [
        (0.5, at - 0.1, true),
        (at + 0.1, at + lasts - 0.1, false),
        (at + lasts + 0.1, left.secs() - 0.3, true),
    ] {
        let part = left.between(left.begins + from, left.begins + to);
        let found = part.tone(CALLER as f32).is_some();
        ensure!(found == there, "tone {found} from {from:.2} to {to:.2} s");
    }
    let log = std::fs::read_to_string(&server.process.log)?;
    let told = log.contains("recording-disk-full") && full >= 1.0;
    ensure!(told, "the full disk was not told");
    server.stop()?;
    drop(small);
    Ok(format!(
        "the caller heard no gap over {} ms, a hole of {lasts:.2} s at {at:.2} s, {off_ms:.0} ms off in \
         all, told by log, metric and event",
        heard.gap_ms
    ))
}

/// How much longer a recording is than its call talked, in ms.
fn length_off_ms(cdr: &Value, recording: &Value) -> Result<f64> {
    let talked = time(cdr, "ended_at")? - time(cdr, "bridged_at")?;
    let length = recording["duration"].as_f64().context("no duration")?;
    Ok((length - talked) * 1e3)
}

/// Five minutes, to 20 ms.
pub(crate) fn five_minutes(lab: &Lab) -> Result<String> {
    let server = Server::start(lab, &recording(""))?;
    let (_agent, caller) = talk(lab, &server, 3.0)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(300) {
        pause(1_000);
    }
    hang_up(caller)?;
    let (cdr, list) = recorded(&server, 1)?;
    let off_ms = length_off_ms(&cdr, &list[0])?;
    let length = list[0]["duration"].as_f64().context("no duration")?;
    ensure!(length > 300.0, "the call lasted {length} s");
    ensure!(off_ms.abs() <= 20.0, "{length} s are {off_ms:.1} ms off");
    // On a busy machine a worker may be late and a phone may pause: the one is told as lost, in holes of
    // true length; what was said is there from the first minute to the last.
    let lost = list[0]["lost"].as_f64().context("no figure of loss")?;
    ensure!(lost < 1.0, "lost: {lost} s");
    let [left, right] = played(lab, &file_of(&server, &list[0])?)?;
    left.never_hears("the left side", AGENT as f32)?;
    right.never_hears("the right side", CALLER as f32)?;
    for minute in 0..5 {
        let (from, to) = (60.0 * f64::from(minute) + 1.0, 60.0 * f64::from(minute + 1));
        let said = |side: &Sound, hz| side.between(from, to).tone(hz as f32).is_some();
        ensure!(
            said(&left, CALLER) && said(&right, AGENT),
            "a side is silent in minute {minute}"
        );
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    server.stop()?;
    Ok(format!(
        "{length} s, {off_ms:.1} ms off, lost {}, load {}",
        list[0]["lost"],
        load.split(' ').next().unwrap_or_default()
    ))
}

/// Paused and masked over the API: a hole of the pause's length, and no key in sound, trace or log.
pub(crate) fn paused_and_masked(lab: &Lab) -> Result<String> {
    let server = Server::start(lab, &recording("rate_max = 8000"))?;
    let (_agent, caller) = talk(lab, &server, 2.0)?;
    let call = server.json("/v1/calls")?[0]["call_id"].clone();
    let call = call.as_str().context("no call")?.to_owned();
    let ask = |action: &str| {
        let path = format!("/v1/calls/{call}/recording");
        let status = server.post_json(&path, &serde_json::json!({ "action": action }))?;
        ensure!(status == 204, "{action}: {status}");
        anyhow::Ok(())
    };
    ask("pause")?;
    pause(2_000);
    ask("resume")?;
    pause(500);
    ask("mask")?;
    for key in "7395".chars() {
        let key = Digit::from_char(key).context("a key")?;
        caller.ear.press(key, crate::ear::Press::InBand);
        pause(400);
        caller.ear.press(key, crate::ear::Press::Rfc4733);
        pause(400);
    }
    ask("unmask")?;
    pause(300);
    let control = Digit::from_char('1').context("a key")?;
    caller.ear.press(control, crate::ear::Press::InBand);
    pause(800);
    hang_up(caller)?;
    let (_, list) = recorded(&server, 1)?;
    let holes = list[0]["holes"].as_array().context("no holes")?.clone();
    ensure!(
        holes.len() == 1 && holes[0]["why"] == "paused",
        "holes: {holes:?}"
    );
    let lasts = holes[0]["duration"].as_f64().unwrap_or(0.0);
    ensure!((lasts - 2.0).abs() < 0.2, "the pause lasts {lasts:.2} s");
    let [left, _] = played(lab, &file_of(&server, &list[0])?)?;
    let keys = keys_in(&left.samples);
    ensure!(keys == "1", "keys in the recording: {keys:?}, want only 1");
    let trace = server.tandem(lab, &["trace", &call])?;
    let told = trace
        .lines()
        .filter(|line| line.contains("pressed "))
        .count();
    let masked = trace
        .lines()
        .filter(|line| line.contains("pressed ?"))
        .count();
    ensure!(masked >= 4, "{masked} of {told} keys are masked: {trace}");
    for key in "7395".chars() {
        let shown = format!("pressed {key} ");
        ensure!(!trace.contains(&shown), "the trace tells {key}");
    }
    server.stop()?;
    Ok(format!(
        "a hole of {lasts:.2} s, no masked key in the sound, {masked} in the trace as ?, the one after is \
         there"
    ))
}

/// The keys whose tones are in the sound.
pub(super) fn keys_in(samples: &[i16]) -> String {
    let mut detector = media::dsp::DtmfDetector::new();
    let frames = samples.as_chunks().0.iter();
    frames
        .filter_map(|frame| detector.listen(frame).pressed)
        .map(|digit| digit.as_char())
        .collect()
}

/// Asked by the flow: who consents is recorded, who does not is not, and both are served.
pub(crate) fn consent(lab: &Lab) -> Result<String> {
    let mut setup = recording("");
    setup.plan = setup.plan.replace(
        "  record start\n",
        "  consent {\n    say \"We would like to record this call. Press 1 to agree.\"\n  }\n",
    );
    let server = Server::start(lab, &setup)?;
    let _agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let mut counts = Vec::new();
    for key in ['1', '2'] {
        let caller = Caller::call(lab, &server, "caller")?;
        caller.hears_greeting()?;
        let two = Digit::from_char('2').context("a key")?;
        caller.ear.press(two, crate::ear::Press::Rfc4733);
        let asked = || {
            let calls = server.json("/v1/calls").ok()?;
            let step = calls[0]["step"].as_str()?.to_owned();
            step.ends_with("consent").then_some(())
        };
        wait_for(END, "the question", asked)?;
        pause(500);
        let key = Digit::from_char(key).context("a key")?;
        caller.ear.press(key, crate::ear::Press::Rfc4733);
        caller.hears_tone(AGENT, 1.5, START)?;
        hang_up(caller)?;
        let done = counts.len() + 1;
        server.cdrs(done)?;
        pause(700);
        let cdr = server.cdrs(done)?.remove(0);
        counts.push(cdr["recordings"].as_array().map_or(0, Vec::len));
    }
    ensure!(counts == [1, 0], "recordings: {counts:?}");
    server.stop()?;
    Ok("recorded after 1, served without a recording after 2".to_owned())
}
