//! The tools that attackers use, run against the server: they find nothing that they should not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::process::bounded;
use crate::server::{Server, Setup};

/// What a program said, both its outputs; its end is not of interest.
fn words_of(command: &mut Command) -> Result<String> {
    let output = command.output().context("it does not start")?;
    let words = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&words).into_owned())
}

/// One of sipvicious, from an address that nobody knows.
fn vicious(lab: &Lab, program: &str, args: &[&str]) -> Result<String> {
    let from = lab.ip(66).to_string();
    let mut command = bounded(program, Duration::from_secs(40));
    command.args(["-b", &from, "-x", &from]).args(args);
    words_of(command.current_dir(&lab.dir)).with_context(|| program.to_owned())
}

/// Alice and others, who may be anywhere: whoever knocks is asked who he is.
fn roaming() -> Setup {
    Setup::agents(&["alice", "bob"])
}

/// svmap, svwar and svcrack: a bare refusal, no user, and a ban that fail2ban sees too.
pub(crate) fn sipvicious(lab: &Lab) -> Result<String> {
    let server = Server::start(lab, &roaming())?;
    let at = server.ip.to_string();
    let map = vicious(lab, "svmap", &[&at])?;
    ensure!(!map.contains("Tandem"), "svmap learned what this is: {map}");
    let names = lab.path("names.txt");
    std::fs::write(&names, "alice\nalicf\nbob\nbo1\n100\n101\ncarrier\nadmin\n")?;
    let names = names.display().to_string();
    let mut wars = 0;
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let war = vicious(lab, "svwar", &["-m", method, "--force", "-d", &names, &at])?;
        // It prints a table of what differs: either everybody is asked for a password, or nobody.
        let found = |name: &str| war.contains(&format!("| {name} "));
        ensure!(
            found("alice") == found("alicf") && found("bob") == found("bo1"),
            "svwar tells users by {method}: {war}"
        );
        wars += 1;
    }
    let mut guesses: String = (0..60).map(|n| format!("guess{n}\n")).collect();
    guesses += "secret-alice\n";
    let list = lab.path("passwords.txt");
    std::fs::write(&list, guesses)?;
    let list = list.display().to_string();
    let crack = vicious(lab, "svcrack", &["-u", "alice", "-d", &list, &at])?;
    ensure!(!crack.contains("secret-alice"), "svcrack has it: {crack}");
    let bans = server.json("/v1/bans")?;
    // Where it could bind no address it came from that of the machine.
    let banned = bans.as_array().is_some_and(|it| it.len() == 1);
    ensure!(banned, "not banned: {bans}; svcrack: {crack}");
    let matched = fail2ban(&server.process.log)?;
    // Ten failures make a ban: each is one line, and none is told twice.
    ensure!(
        matched == 10,
        "fail2ban matched {matched} lines of 10 failures"
    );
    // The control: the same list is worth something to whoever is not banned for his guesses.
    server.stop()?;
    let mut open = roaming();
    open.config += "[abuse]\nfailures = 0\n";
    let server = Server::restart(lab, &open)?;
    let crack = vicious(lab, "svcrack", &["-u", "alice", "-d", &list, &at])?;
    ensure!(
        crack.contains("secret-alice"),
        "without bans svcrack finds nothing: {crack}"
    );
    server.stop()?;
    Ok(format!(
        "svmap sees a bare refusal, {wars} svwars no user, svcrack is banned after 10 guesses, \
         fail2ban matches {matched} lines"
    ))
}

/// How many lines of a log fail2ban's own tool finds by our filter.
fn fail2ban(log: &Path) -> Result<usize> {
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/fail2ban/tandem.conf");
    let mut command = bounded("fail2ban-regex", Duration::from_secs(60));
    let said = words_of(command.arg(log).arg(filter))?;
    let line = said.lines().find(|line| line.starts_with("Lines: "));
    let line = line.with_context(|| said.clone())?;
    let matched = line
        .split(", ")
        .find_map(|part| part.strip_suffix(" matched"));
    matched
        .and_then(|number| number.parse().ok())
        .with_context(|| said.clone())
}

/// Nobody whom the configuration knows may be where the scanner is: it hears nothing at all.
pub(crate) fn scanned(lab: &Lab) -> Result<String> {
    let mut setup = roaming();
    let home = format!("sources = [\"{}\"]\n", lab.ip(7));
    setup.config = setup.config.replace("[agents.", &format!("{home}[agents."));
    let server = Server::start(lab, &setup)?;
    let at = server.ip.to_string();
    let map = vicious(lab, "svmap", &[&at])?;
    ensure!(map.contains("found nothing"), "svmap: {map}");
    let war = vicious(
        lab,
        "svwar",
        &["--force", "-e100-110", "--maximumtime=5", &at],
    )?;
    ensure!(!war.contains("| 10"), "svwar: {war}");
    server.stop()?;
    Ok("svmap and svwar hear nothing at all".to_owned())
}

/// sipsak: pings, mangled requests and a registration without a password.
pub(crate) fn sipsak(lab: &Lab) -> Result<String> {
    let server = Server::start(lab, &roaming())?;
    let (at, from) = (server.ip, lab.ip(66));
    let uri = |user: &str| format!("sip:{user}@{at}:5060");
    let sak = |args: &[&str]| {
        let mut command = bounded("sipsak", Duration::from_secs(15));
        words_of(
            command
                .args(["-v", "-v", "-v", "-k", &from.to_string()])
                .args(args),
        )
    };
    let mut refused = 0;
    for user in ["alice", "nobody"] {
        let said = sak(&["-s", &uri(user)])?;
        ensure!(said.contains("401"), "OPTIONS for {user}: {said}");
        ensure!(!said.contains("Tandem"), "OPTIONS for {user}: {said}");
        let contact = format!("sip:{user}@{from}:5099");
        let said = sak(&["-U", "-C", &contact, "-x", "60", "-s", &uri(user)])?;
        ensure!(
            !said.contains("200 OK"),
            "a registration without proof: {said}"
        );
        let said = sak(&["-M", "-B", "buy", "-s", &uri(user)])?;
        ensure!(!said.contains("SIP/2.0 2"), "a message of nobody: {said}");
        refused += 3;
    }
    // Mangled more and more, until it runs out of letters or time.
    sak(&["-R", "-t", "80", "-s", &uri("alice")])?;
    let contacts = server.json("/v1/endpoints")?;
    let registered = contacts.as_array().into_iter().flatten();
    let registered =
        registered.filter(|it| it["contacts"].as_array().is_some_and(|it| !it.is_empty()));
    ensure!(
        registered.count() == 0,
        "somebody is registered: {contacts}"
    );
    let left = server.gauges()?;
    ensure!(
        left.get("tandem_calls_active") == Some(&0.0),
        "calls are left"
    );
    server.stop()?;
    Ok(format!(
        "{refused} requests refused, mangled ones survived, nobody registered"
    ))
}
