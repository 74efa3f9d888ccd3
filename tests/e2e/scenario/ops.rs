//! What operators do: draining, a crash, mistakes in the configuration.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::smoke::{AGENT, CALLER, Caller};
use crate::agent::Agent;
use crate::baresip::Over;
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};
use crate::sipp::Play;
use crate::sound::Sound;

const START: Duration = Duration::from_secs(20);

/// SIGTERM: the call goes on, a new one is refused, the process ends with the call.
pub(crate) fn drain(lab: &Lab) -> Result<String> {
    let mut server = Server::start(lab, &Setup::agents(&["alice"]))?;
    let _agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, START)?;
    server.process.signal(Signal::TERM)?;
    pause(300);
    // Another port of the same carrier.
    let mut play = Play::new("caller_refused", lab.ip(2), server.sip());
    play.port = Some(5_070);
    play.ear = Some(caller.ear.address);
    play.start(lab)?.succeed(Duration::from_secs(10))?;
    let before = caller.ear.first().sound().ends();
    caller.hears_tone(AGENT, 4.0, START)?;
    let went_on = caller.ear.first().sound().ends() - before;
    ensure!(
        server.process.ended()?.is_none(),
        "the server ended before its call"
    );
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    let hung_up = Instant::now();
    let status = server.process.wait(Duration::from_secs(15))?;
    ensure!(status.success(), "the server ended with {status}");
    Ok(format!(
        "the call went on for {went_on:.1} s, a new one got 503, exit 0 after {:.1} s",
        hung_up.elapsed().as_secs_f32()
    ))
}

/// SIGKILL in a recorded call: the store opens, the recording plays, the next call works.
pub(crate) fn crash(lab: &Lab) -> Result<String> {
    let setup = Setup::agents(&["alice"]);
    let server = Server::start(lab, &setup)?;
    let _agent = Agent::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
    let first = Caller::call(lab, &server, "caller")?;
    first.choose_support(&server)?;
    first.hears_tone(AGENT, 1.0, START)?;
    first.sipp.hang_up()?;
    first.sipp.succeed(Duration::from_secs(10))?;
    server.cdrs(1)?;
    let second = Caller::call(lab, &server, "caller")?;
    second.choose_support(&server)?;
    second.hears_tone(AGENT, 4.0, START)?;
    server.process.signal(Signal::KILL)?;
    let mut server = server;
    server.process.wait(Duration::from_secs(5))?;
    drop(second);

    let server = Server::restart(lab, &setup)?;
    let kept = server.cdrs(1)?.len();
    ensure!(
        kept == 1,
        "{kept} call records after the crash, want the first call's"
    );
    let known = server.reachable("alice");
    known.context("the registration did not outlive the crash")?;
    let mut recordings = wavs(&server.data.join("recordings"));
    recordings.sort_by_key(|file| std::fs::metadata(file).and_then(|it| it.modified()).ok());
    let cut = recordings.last().context("no recording is left")?;
    let (left, right) = (Sound::wav(cut, 0)?, Sound::wav(cut, 1)?);
    ensure!(
        left.secs() > 2.0,
        "the recording holds {:.2} s",
        left.secs()
    );
    left.hears("the recording's left side", CALLER as f32, 40)?;
    right.hears("the recording's right side", AGENT as f32, 40)?;
    let third = Caller::call(lab, &server, "caller")?;
    third.hears_greeting()?;
    third.sipp.hang_up()?;
    third.sipp.succeed(Duration::from_secs(10))?;
    server.stop()?;
    Ok(format!(
        "1 record and the registration kept, {:.2} s of the cut recording play, the next call is \
         answered",
        left.secs()
    ))
}

fn wavs(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(wavs(&path));
        } else if path.extension().is_some_and(|it| it == "wav") {
            found.push(path);
        }
    }
    found
}

/// A mistake in the file is told with its key, the rule and the value; the exit code is 2.
pub(crate) fn bad_configuration(lab: &Lab) -> Result<String> {
    let cases = [
        ("[rtp]\nport_min = 20001\n", "rtp.port_min", "even", "20001"),
        ("[sip]\nt1 = \"soon\"\n", "sip.t1", "", "soon"),
        ("[http]\nlisten = \"here\"\n", "http.listen", "", "here"),
    ];
    for (text, key, rule, value) in cases {
        let (code, said) = run(lab, text)?;
        ensure!(
            code == Some(2),
            "{text:?}: exit code {code:?}, want 2: {said}"
        );
        for part in [key, rule, value, "want"] {
            ensure!(said.contains(part), "{text:?}: no {part:?} in {said:?}");
        }
    }
    let (code, said) = run(lab, "[sip]\nupd = []\n")?;
    ensure!(
        code == Some(2) && said.contains("sip.upd") && said.contains("udp"),
        "an unknown key: exit code {code:?}: {said}"
    );
    Ok("4 mistakes, each with key, rule and value, exit code 2".to_owned())
}

/// Somebody has the address already: exit code 3.
pub(crate) fn address_in_use(lab: &Lab) -> Result<String> {
    let here = SocketAddr::new(lab.ip(1), 5060);
    let _taken = std::net::UdpSocket::bind(here)?;
    let listen = SocketAddr::new(lab.ip(1), 8080);
    let text =
        format!("[http]\nlisten = \"{listen}\"\n[sip]\nudp = [\"{here}\"]\ntcp = []\ntls = []\n");
    let (code, said) = run(lab, &text)?;
    ensure!(code == Some(3), "exit code {code:?}, want 3: {said}");
    ensure!(said.contains(&here.to_string()), "no {here} in {said:?}");
    Ok(format!("exit code 3, and {here} is named"))
}

/// Serves with that configuration until it gives up; its code and what it said on standard error.
fn run(lab: &Lab, text: &str) -> Result<(Option<i32>, String)> {
    let file = lab.path("bad.toml");
    std::fs::write(&file, text)?;
    std::fs::create_dir_all(lab.path("dialplans"))?;
    std::fs::write(lab.path("dialplans/e2e.kdl"), "dialplan version=1\n")?;
    let error = lab.path("stderr.log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["serve", "--config"])
        .arg(&file)
        .current_dir(&lab.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&error)?)
        .spawn()?;
    let ended = wait_for(Duration::from_secs(20), "the server to give up", || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    Ok((ended?.code(), std::fs::read_to_string(&error)?))
}

/// Started by root with an account to become, and by a service manager: it is nobody, keeps two
/// capabilities, and says when it is ready, alive, reloading and stopping.
pub(crate) fn service(lab: &Lab) -> Result<String> {
    let socket = lab.path("notify");
    let listener = std::os::unix::net::UnixDatagram::bind(&socket)?;
    listener.set_nonblocking(true)?;
    let mut setup = Setup::agents(&[]);
    setup.config += "[process]\nuser = \"nobody\"\n";
    setup.environment = vec![
        ("NOTIFY_SOCKET".to_owned(), socket.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "600000".to_owned()),
    ];
    // The account must reach its own folder through those above it.
    std::fs::create_dir_all(lab.path("dialplans"))?;
    for path in [lab.dir.as_path(), &lab.path("dialplans"), &socket] {
        open_to_all(path)?;
    }
    let server = Server::start(lab, &setup)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.pid()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|it| it.split_whitespace().next().unwrap_or("").to_owned())
            .with_context(|| format!("no {name}"))
    };
    ensure!(field("Uid:")? != "0", "the server runs as root");
    let kept = u64::from_str_radix(&field("CapEff:")?, 16)?;
    ensure!(
        kept == (1 << 10) | (1 << 23),
        "capabilities {kept:#x}, want those to bind low ports and to be nice"
    );
    server.process.signal(Signal::HUP)?;
    let mut said = Vec::new();
    let mut heard = |what: &str, count: usize| {
        wait_for(Duration::from_secs(10), what, || {
            let mut bytes = [0; 512];
            while let Ok(len) = listener.recv(&mut bytes) {
                said.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
            }
            let times = said.iter().filter(|it| it.contains(what)).count();
            (times >= count).then_some(())
        })
    };
    heard("READY=1", 2)?;
    heard("RELOADING=1", 1)?;
    heard("WATCHDOG=1", 4)?;
    let caller = Caller::call(lab, &server, "caller")?;
    caller.hears_greeting()?;
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    server.stop()?;
    heard("STOPPING=1", 1)?;
    Ok(
        "nobody, with 2 capabilities; ready, reloaded, watched, stopping; a call is answered"
            .to_owned(),
    )
}

fn open_to_all(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o777),
    )?)
}
