//! Phones in one conference, each heard by tone at every other, and never at itself.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::smoke::{AGENT, CALLER, Caller};
use crate::baresip::{Baresip, Over};
use crate::lab::Lab;
use crate::process::pause;
use crate::server::{Server, Setup};

/// What the second phone says, in Hz.
const OTHER: u32 = 1_500;

/// A carrier's caller and two phones, one of them with Opus, call one number; the caller hangs up and the
/// phones still hear each other.
pub(crate) fn three(lab: &Lab) -> Result<String> {
    let mut setup = Setup::agents(&["alice", "bob"]);
    setup.plan = "dialplan version=1\nentry pattern=\"*\" flow=\"room\"\nentry endpoint=\"*\" \
                  flow=\"room\"\nflow \"room\" {\n conference \"e2e\"\n}\n"
        .to_owned();
    let opus = "password = \"secret-bob\"\ncodecs = [\"opus\", \"pcmu\"]\n";
    setup.config = setup.config.replace("password = \"secret-bob\"\n", opus);
    let server = Server::start(lab, &setup)?;
    let g711 = (Over::Udp, ";audio_codecs=PCMU");
    let mut alice = Baresip::start_with(lab, &server, "alice", g711, AGENT, true)?;
    let wide = (Over::Udp, ";audio_codecs=opus/48000/2");
    let mut bob = Baresip::start_with(lab, &server, "bob", wide, OTHER, true)?;
    let caller = Caller::call(lab, &server, "caller")?;
    for phone in [&mut alice, &mut bob] {
        phone.command("dial", &format!("sip:7000@{}", server.sip()))?;
        phone.event("CALL_ESTABLISHED", Duration::from_secs(10))?;
    }
    let limit = Duration::from_secs(20);
    let heard = [AGENT, OTHER].map(|hz| caller.hears_tone(hz, 3.0, limit));
    let [first, second] = heard;
    let levels = [first?.dbfs, second?.dbfs];
    caller
        .ear
        .first()
        .sound()
        .never_hears("the caller", CALLER as f32)?;
    let members = server.json("/v1/conferences/e2e")?["members"].clone();
    let members = members.as_array().map_or(0, Vec::len);
    ensure!(members == 3, "the room has {members} members");
    caller.sipp.hang_up()?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    pause(2_000);
    for phone in [&mut alice, &mut bob] {
        phone.command("hangup", "")?;
        phone.event("CALL_CLOSED", Duration::from_secs(5))?;
    }
    let table = [
        (
            "alice",
            alice.played(CALLER)?,
            alice.played(OTHER)?,
            alice.played(AGENT)?,
        ),
        (
            "bob",
            bob.played(CALLER)?,
            bob.played(AGENT)?,
            bob.played(OTHER)?,
        ),
    ];
    for (who, one, other, own) in table {
        let both = one.min(other) > HEARD_DBFS;
        ensure!(
            both,
            "{who} hears the others at {one:.1} and {other:.1} dBFS"
        );
        ensure!(own < -40.0, "{who} hears itself at {own:.1} dBFS");
    }
    ensure!(
        server
            .json("/v1/conferences")?
            .as_array()
            .is_some_and(Vec::is_empty)
    );
    server.stop()?;
    Ok(format!(
        "the caller hears both at {:.1} and {:.1} dBFS; alice {:.1} and {:.1}, bob (Opus) {:.1} and {:.1}",
        levels[0], levels[1], table[0].1, table[0].2, table[1].1, table[1].2
    ))
}

/// A tone of −12 dBFS, with what a codec and a fade may take off it.
const HEARD_DBFS: f32 = -16.0;
