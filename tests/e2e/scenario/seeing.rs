//! Seeing a call: a transferred, recorded one as trace, as capture and at a Homer, each read by tshark.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::phones::Talk;
use super::smoke::AGENT;
use crate::baresip::{Baresip, Over};
use crate::capture::Traffic;
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};

/// What the second agent says, in Hz.
const SECOND: u32 = 1_300;

/// What the Homer wants to hear.
const PASSWORD: &str = "homers-own-word";

/// A Homer's socket, which nobody reads: the lab's capture is the witness.
fn homer(lab: &Lab) -> Result<(UdpSocket, String)> {
    let socket = UdpSocket::bind((lab.ip(9), 9_060))?;
    let config = format!(
        "[trace]\nrtp = true\n[trace.hep]\nto = \"{}\"\ncapture_id = 77\npassword = \"{PASSWORD}\"\n",
        socket.local_addr()?
    );
    Ok((socket, config))
}

/// One call from INVITE to the last BYE's answer, handed on by REFER and recorded.
pub(crate) fn seeing(lab: &Lab) -> Result<String> {
    let (_homer, trace) = homer(lab)?;
    let mut setup = Setup::agents(&["alice"]);
    setup.config += "[endpoints.bob]\npassword = \"secret-bob\"\n";
    setup.config += &trace;
    let mut talk = Talk::begin(lab, &setup)?;
    // Under TLS: only the server itself can show what was said.
    let mut second = Baresip::start(lab, &talk.server, "bob", Over::Tls, SECOND, true)?;
    let top = talk
        .server
        .tandem(lab, &["top", "--once", "--width", "140"])?;
    let server = talk.server.ip;
    talk.agent
        .command("transfer", &format!("sip:bob@{server}"))?;
    talk.agent.event("CALL_CLOSED", Duration::from_secs(10))?;
    talk.caller
        .hears_tone(SECOND, 6.0, Duration::from_secs(20))?;
    talk.caller.sipp.hang_up()?;
    second.event("CALL_CLOSED", Duration::from_secs(5))?;
    talk.caller.sipp.succeed(Duration::from_secs(10))?;
    let cdr = talk.server.cdrs(1)?.remove(0);
    let call = cdr["call_id"].as_str().context("a call id")?.to_owned();
    // The last answers, and what Homer gets of them.
    pause(500);
    let (messages, ladder) = check_trace(lab, &talk.server, &call)?;
    let file = lab.path("call.pcapng");
    let path = file.display().to_string();
    talk.server.tandem(lab, &["pcap", &call, "-o", &path])?;
    let traffic = talk.capture.finish()?;
    let captured = check_capture(&file, messages)?;
    let heard = check_homer(lab, &call)?;
    check_top(&top, &call)?;
    check_stranger(lab, &talk.server)?;
    let copies = traffic
        .0
        .iter()
        .filter(|it| is_of(&it.payload, &call))
        .count();
    talk.server.stop()?;
    Ok(format!(
        "{ladder}; {captured}; {heard}; {copies} datagrams at the Homer carry the call's name"
    ))
}

fn is_of(payload: &[u8], call: &str) -> bool {
    payload.starts_with(b"HEP3") && payload.windows(call.len()).any(|it| it == call.as_bytes())
}

/// Messages, steps and sound, in order and on one axis.
fn check_trace(lab: &Lab, server: &Server, call: &str) -> Result<(usize, String)> {
    let text = server.tandem(lab, &["trace", "last", "--json"])?;
    std::fs::write(lab.path("trace.json"), &text)?;
    let trace: Value = serde_json::from_str(&text)?;
    ensure!(
        trace["call_id"] == call,
        "the last call is {}",
        trace["call_id"]
    );
    ensure!(trace["ended"] == true, "the call has not ended");
    let names: Vec<&str> = list(&trace["parties"])
        .iter()
        .filter_map(|party| party["name"].as_str())
        .collect();
    ensure!(
        names == ["carrier", "alice", "bob"],
        "the parties are {names:?}"
    );
    let entries = list(&trace["entries"]);
    let mut since = 0.0;
    // A port cannot have sent before it was open: the media threads keep the same time.
    for leg in 0..3 {
        let at = |start: &str| {
            let is = |it: &&Value| {
                it["leg"] == leg && it["text"].as_str().is_some_and(|it| it.starts_with(start))
            };
            entries.iter().position(|it| is(&it))
        };
        ensure!(
            at("port open") < at("first RTP out"),
            "leg {leg} sent before its port was open"
        );
    }
    for entry in entries {
        let at = entry["since_secs"].as_f64().unwrap_or(-1.0);
        ensure!(at >= since, "an entry out of order: {entry}");
        since = at;
    }
    // In this order, each on that leg.
    let want: &[(Option<u64>, &str)] = &[
        (Some(0), "INVITE sip:+15551230000"),
        (None, "call from "),
        (None, "step main/menu"),
        (Some(0), "port open: PCM"),
        (Some(0), "prompt "),
        (Some(0), "first RTP "),
        (Some(0), "pressed 2 by telephone-event"),
        (None, "waits in queue support"),
        (Some(1), "INVITE sip:alice"),
        (Some(1), "200 "),
        (None, "bridged with alice"),
        (None, "recording to "),
        (Some(1), "first RTP in from "),
        (Some(1), "REFER "),
        (Some(2), "INVITE sip:bob"),
        (None, "transferred (blind)"),
        (Some(2), "first RTP in from "),
        (Some(0), "BYE "),
        (None, "ended: normal"),
    ];
    let mut rest = entries.iter();
    for (leg, start) in want {
        let is = |it: &&Value| {
            it["leg"].as_u64() == *leg && it["text"].as_str().unwrap_or("").starts_with(start)
        };
        ensure!(
            rest.any(|it| is(&it)),
            "no {start:?} of leg {leg:?} after what stands before it: {}",
            lab.path("trace.json").display()
        );
    }
    for leg in 0..3 {
        for what in ["first RTP in from", "first RTP out", "port closed: "] {
            let there = entries.iter().any(|it| {
                it["leg"] == leg && it["text"].as_str().is_some_and(|it| it.starts_with(what))
            });
            ensure!(there, "leg {leg} has no {what:?}");
        }
    }
    let drawn = server.tandem(lab, &["trace", call, "--width", "150"])?;
    std::fs::write(lab.path("ladder.txt"), &drawn)?;
    let followed = server.tandem(lab, &["trace", call, "--width", "150", "--follow"])?;
    ensure!(followed == drawn, "followed to its end it is:\n{followed}");
    ensure!(!drawn.contains('\x1b'), "colours although nobody sees them");
    let widest = drawn.lines().map(|line| line.chars().count()).max();
    ensure!(widest <= Some(150), "a line of {widest:?} columns");
    let messages = entries.iter().filter(|it| it["kind"] == "message").count();
    let said = format!(
        "trace: {messages} messages, {} steps and words of sound",
        entries.len() - messages
    );
    Ok((messages, said))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// tshark has no word against it, and finds every stream whole.
fn check_capture(file: &Path, messages: usize) -> Result<String> {
    let complaints = complaints(&[], file)?;
    ensure!(complaints.is_empty(), "tshark complains: {complaints}");
    // Checksums are looked at only where that is asked for.
    let strict = ["ip", "udp", "tcp"].map(|it| format!("{it}.check_checksum:TRUE"));
    let strict: Vec<&str> = strict.iter().flat_map(|it| ["-o", it]).collect();
    let wrong = tshark(
        &strict,
        file,
        &["-Y", "ip.checksum.status==0 or udp.checksum.status==0"],
    )?;
    ensure!(wrong.is_empty(), "wrong checksums: {wrong}");
    let sip = tshark(
        &[],
        file,
        &["-Y", "sip", "-T", "fields", "-e", "sip.CSeq.method"],
    )?;
    ensure!(
        sip.lines().count() == messages,
        "tshark reads {} SIP messages, want the trace's {messages}",
        sip.lines().count()
    );
    let streams = tshark(&[], file, &["-q", "-z", "rtp,streams"])?;
    let rows: Vec<&str> = streams.lines().filter(|line| line.contains("0x")).collect();
    ensure!(
        rows.len() >= 6,
        "{} streams, want both ways of three legs:\n{streams}",
        rows.len()
    );
    ensure!(
        rows.iter().all(|row| row.contains(" 0 (0.0%)")),
        "packets are missing:\n{streams}"
    );
    let reports = tshark(&[], file, &["-Y", "rtcp", "-T", "fields", "-e", "rtcp.pt"])?;
    ensure!(reports.lines().count() > 2, "no reports");
    Ok(format!(
        "capture: {} SIP messages, {} streams without loss, {} reports, no complaint",
        sip.lines().count(),
        rows.len(),
        reports.lines().count()
    ))
}

/// Errors and warnings of tshark's expert, and malformed packets.
fn complaints(before: &[&str], file: &Path) -> Result<String> {
    let expert = tshark(before, file, &["-q", "-z", "expert,warn"])?;
    let bad = ["Errors (", "Warns (", "Malformed"];
    let lines = expert
        .lines()
        .filter(|line| bad.iter().any(|it| line.contains(it)));
    Ok(match lines.count() {
        0 => String::new(),
        _ => expert,
    })
}

/// Both legs' messages, under the call's name, from the addresses they had.
fn check_homer(lab: &Lab, call: &str) -> Result<String> {
    let file = lab.path("capture.pcap");
    let script = format!("lua_script:{}", Lab::data("hep.lua").display());
    let decode = ["-X", &script, "-d", "udp.port==9060,hep"];
    let complaints = tshark(
        &decode,
        &file,
        &["-Y", "hep.wrong or (hep and _ws.malformed)"],
    )?;
    ensure!(complaints.is_empty(), "tshark complains: {complaints}");
    let columns = [
        "hep.correlation",
        "hep.kind",
        "hep.agent",
        "hep.key",
        "hep.source",
        "sip.Method",
        "sip.Call-ID",
    ];
    let mut wanted = vec!["-Y", "hep", "-T", "fields"];
    wanted.extend(columns.iter().flat_map(|it| ["-e", *it]));
    let rows = tshark(&decode, &file, &wanted)?;
    std::fs::write(lab.path("hep.txt"), &rows)?;
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    let mine: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0] == call).collect();
    ensure!(
        rows.iter().all(|row| row[2] == "77" && row[3] == PASSWORD),
        "another agent or key: {rows:?}"
    );
    let mut dialogs: Vec<&str> = mine
        .iter()
        .map(|row| row[6])
        .filter(|it| !it.is_empty())
        .collect();
    dialogs.sort_unstable();
    dialogs.dedup();
    ensure!(
        dialogs.len() == 3,
        "{} SIP Call-IDs under the call's name, want three legs': {dialogs:?}",
        dialogs.len()
    );
    for method in ["INVITE", "REFER", "BYE"] {
        ensure!(
            mine.iter().any(|row| row[5] == method),
            "no {method} reached the Homer"
        );
    }
    let reports = mine.iter().filter(|row| row[1] == "5").count();
    ensure!(reports > 2, "{reports} reports of sound reached the Homer");
    Ok(format!(
        "Homer: {} SIP messages of three legs and {reports} reports under one name",
        mine.len() - reports
    ))
}

/// The page shows the call and its agent while they talk.
fn check_top(page: &str, call: &str) -> Result<()> {
    for want in [call, "bridged", "carrier", "support", "alice", "media 0"] {
        ensure!(page.contains(want), "top shows no {want:?}:\n{page}");
    }
    ensure!(!page.contains('\x1b'), "top sends escapes into a pipe");
    Ok(())
}

/// What was said to a stranger, who never became a call, is there too.
fn check_stranger(lab: &Lab, server: &Server) -> Result<()> {
    let socket = UdpSocket::bind((lab.ip(7), 0))?;
    let (here, there) = (socket.local_addr()?, server.sip());
    let id = "a stranger's/own?id@nowhere".replace(' ', "-");
    let invite = format!(
        "INVITE sip:100@{there} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKstranger\r\n\
         Max-Forwards: 70\r\nFrom: <sip:me@{here}>;tag=1\r\nTo: <sip:100@{there}>\r\n\
         Call-ID: {id}\r\nCSeq: 1 INVITE\r\nContact: <sip:me@{here}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(invite.as_bytes(), there)?;
    pause(300);
    for name in [id.as_str(), "last"] {
        let drawn = server.tandem(lab, &["trace", name])?;
        ensure!(
            drawn.contains("INVITE sip:100@") && drawn.contains("401 Unauthorized (INVITE)"),
            "the trace of a stranger's INVITE:\n{drawn}"
        );
    }
    Ok(())
}

fn tshark(before: &[&str], file: &Path, after: &[&str]) -> Result<String> {
    let run = Command::new("timeout")
        .args(["60", "tshark"])
        .args(before)
        .arg("-r")
        .arg(file)
        .args(after)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("Running as user") && !line.trim().is_empty())
        .collect();
    if !run.status.success() || !said.is_empty() {
        bail!("tshark {after:?}: {}: {}", run.status, said.join(" | "));
    }
    Ok(String::from_utf8_lossy(&run.stdout).into_owned())
}

/// What a phone proves its password with is in no view of its registration; with redaction off it is
/// in every one but the log.
pub(crate) fn secrets(lab: &Lab) -> Result<String> {
    let mut said = Vec::new();
    for redact in [true, false] {
        let (_homer, trace) = homer(lab)?;
        let mut setup = Setup::agents(&["alice"]);
        setup.config += &trace.replace("[trace]\n", &format!("[trace]\nredact = {redact}\n"));
        let capture = lab.capture(&lab.net())?;
        let server = Server::start(lab, &setup)?;
        let agent = Baresip::start(lab, &server, "alice", Over::Udp, AGENT, true)?;
        pause(500);
        let traffic = capture.finish()?;
        let (id, proof) = proof(&traffic)?;
        let file = lab.path("register.pcapng");
        let path = file.display().to_string();
        server.tandem(lab, &["pcap", &id, "-o", &path])?;
        let log = wait_for(Duration::from_secs(5), "the log", || {
            std::fs::read_to_string(&server.process.log).ok()
        })?;
        let hep: Vec<u8> = traffic
            .0
            .iter()
            .filter(|it| it.payload.starts_with(b"HEP3"))
            .flat_map(|it| it.payload.clone())
            .collect();
        let views = [
            ("json", server.tandem(lab, &["trace", &id, "--json"])?),
            ("ladder", server.tandem(lab, &["trace", &id, "--full"])?),
            (
                "pcap",
                String::from_utf8_lossy(&std::fs::read(&file)?).into_owned(),
            ),
            ("hep", String::from_utf8_lossy(&hep).into_owned()),
        ];
        for (name, view) in &views {
            ensure!(
                view.contains("username="),
                "{name} has no credentials at all"
            );
            ensure!(
                view.contains(&proof) != redact,
                "redact = {redact}, and the proof in {name}: {}",
                view.contains(&proof)
            );
        }
        ensure!(!log.contains(&proof), "the log has the proof");
        said.push(format!(
            "redact = {redact}: {} views as they must be",
            views.len()
        ));
        drop(agent);
        server.stop()?;
    }
    Ok(said.join(", "))
}

/// The SIP Call-ID of a registration, and the digest's response in it.
fn proof(traffic: &Traffic) -> Result<(String, String)> {
    let registers = traffic.sip("REGISTER ");
    let found = registers.iter().find_map(|register| {
        let credentials = register.header("Authorization")?;
        let proof = credentials.split("response=\"").nth(1)?.split('"').next()?;
        Some((register.header("Call-ID")?.to_owned(), proof.to_owned()))
    });
    found.context("no registration with credentials was seen")
}
