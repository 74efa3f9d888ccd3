//! The command line from outside: what it prints and its exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use super::*;

/// Runs a command; its exit code, standard output and standard error.
fn tandem(arguments: &[&str]) -> (ExitCode, String, String) {
    let arguments = std::iter::once("tandem").chain(arguments.iter().copied());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(arguments.map(OsString::from), || {}, &mut out, &mut err);
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

/// A file that vanishes with its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-cli-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn is(code: ExitCode, want: u8) -> bool {
    format!("{code:?}") == format!("{:?}", ExitCode::from(want))
}

#[test]
fn help_and_version_are_answers_and_a_wrong_word_is_a_mistake() {
    let (code, out, _) = tandem(&["--help"]);
    assert!(is(code, 0) && out.contains("Exit codes:") && out.contains("serve"));
    let (code, out, _) = tandem(&["version"]);
    assert!(is(code, 0) && out == format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in [
        &["dance"][..],
        &[],
        &["serve", "--colour"],
        &["test", "--at", "noon"],
        &["test", "--digits", "1,x"],
    ] {
        let (code, out, err) = tandem(wrong);
        assert!(
            is(code, 2) && out.is_empty() && !err.is_empty(),
            "{wrong:?}: {err}"
        );
    }
}

#[test]
fn a_bad_configuration_is_refused_with_key_rule_and_value_and_exit_code_2() {
    let file = File::new("bad.toml", "[rtp]\nworkers = 1000\n");
    let commands: [&[&str]; 4] = [&["serve"], &["check"], &["test"], &["calls"]];
    for command in commands {
        let (code, _, err) = tandem(&[command, &["--config", file.path()]].concat());
        assert!(is(code, 2), "{command:?}: {err}");
        let want = format!(
            "tandem: {}:2: rtp.workers: want a whole number from 0 to 64, have 1000\n",
            file.path()
        );
        assert_eq!(err, want, "{command:?}");
    }
    let (code, _, err) = tandem(&["serve", "--config", "/nowhere/tandem.toml"]);
    assert!(
        is(code, 2) && err.starts_with("tandem: /nowhere/tandem.toml: cannot be read"),
        "{err}"
    );
    let file = File::new("syntax.toml", "[rtp\n");
    let (code, _, err) = tandem(&["serve", "--config", file.path()]);
    assert!(
        is(code, 2) && err.contains("not TOML") && err.contains("line 1"),
        "{err}"
    );
}

#[test]
fn an_address_in_use_has_an_exit_code_of_its_own_however_deep_it_lies() {
    let in_use = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    let error = anyhow::Error::new(in_use)
        .context("udp 127.0.0.1:5060")
        .context("sip");
    assert_eq!(Failure::of(error).code(), 3);
    assert_eq!(Failure::of(anyhow::anyhow!("else")).code(), 1);
}

#[test]
fn calls_without_a_server_fail_and_without_a_key_are_a_mistake() {
    // A port that was free a moment ago, and that nobody else was given.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (code, _, err) = tandem(&["calls", "--url", &url, "--api-key", "0123456789abcdef"]);
    assert!(is(code, 1) && err.contains("does the server run?"), "{err}");
    if std::env::var_os("TANDEM_API_KEY").is_none() {
        let (code, _, err) = tandem(&["calls", "--url", &url]);
        assert!(is(code, 2) && err.contains("TANDEM_API_KEY"), "{err}");
    }
}

#[test]
fn what_the_example_shows_of_trunks_endpoints_and_agents_is_read_by_their_modules() {
    let example = include_str!("../../tandem.example.toml");
    let sections = example.split("# Carriers, by name.").nth(1).unwrap();
    let lines = sections.lines().filter_map(|line| line.strip_prefix("# "));
    let keys = lines.filter(|line| line.starts_with('[') || line.contains(" = "));
    let file: String = keys.map(|line| format!("{line}\n")).collect();
    let config = Config::from_parts(file.parse().unwrap(), []).unwrap();
    let realm = config.sip.realm.as_str();
    let trunks = crate::trunk::TrunkConfig::read_all(config.trunks.clone(), realm).unwrap();
    let endpoints =
        crate::trunk::EndpointConfig::read_all(config.endpoints.clone(), realm).unwrap();
    let agents = crate::center::AgentConfig::read_all(config.agents.clone()).unwrap();
    assert_eq!((trunks.len(), endpoints.len(), agents.len()), (1, 1, 1));
    let emergency = crate::trunk::Emergency::read(config.emergency, &trunks).unwrap();
    assert!(emergency.is_emergency("112"));
}

/// A small dialplan with one test of its own.
const PLAN: &str = r#"
dialplan version=1
entry pattern="*" flow="main"
flow "main" {
  answer
  goto "choose"
}
menu "choose" {
  on "1" { hangup; }
  on timeout max=1 { hangup; }
}
test "one ends the call" {
  call at="2026-11-20T10:00:00Z"
  press "1"
  expect-hangup
}
"#;

#[test]
fn check_and_test_read_files_and_folders_and_say_what_they_found() {
    let file = File::new("good.kdl", PLAN);
    let (code, out, err) = tandem(&["check", file.path()]);
    assert!(is(code, 0) && out.contains("0 errors"), "{out}{err}");
    let (code, out, err) = tandem(&["test", file.path()]);
    assert!(
        is(code, 0) && out.contains("1 walked, 0 failed"),
        "{out}{err}"
    );
    let (code, out, err) = tandem(&["test", file.path(), "--digits", "1"]);
    assert!(is(code, 0) && out.contains("dry run"), "{out}{err}");
}

#[test]
fn names_of_the_configuration_are_checked_only_where_one_is_given() {
    let plan = PLAN.replace(
        "on \"1\" { hangup; }",
        "on \"1\" { dial \"zoe\" trunk=\"far\"; }",
    );
    let plan = File::new("names.kdl", &plan.replace("  expect-hangup\n", ""));
    for command in ["check", "test"] {
        let (code, out, err) = tandem(&[command, plan.path()]);
        assert!(is(code, 0), "{command}: {out}{err}");
    }
    let config = File::new("names.toml", "");
    let (code, out, _) = tandem(&["check", "--config", config.path(), plan.path()]);
    assert!(
        is(code, 1) && out.contains("there is no trunk `far`"),
        "{out}"
    );
}

#[test]
fn keys_that_anybody_can_read_are_warned_of_and_are_no_mistake() {
    let plan = File::new("clear.kdl", PLAN);
    let trunk = |lines: &str| {
        let text = format!("[trunks.acme]\naddresses = [\"203.0.113.9\"]\n{lines}\n");
        let config = File::new("clear.toml", &text);
        tandem(&["check", "--config", config.path(), plan.path()])
    };
    let (code, out, err) = trunk("srtp = \"optional\"\nsrtp_keys_in_clear = true");
    assert!(is(code, 0), "{out}{err}");
    assert!(
        out.contains("warning: trunks.acme.srtp_keys_in_clear: where signalling is not over TLS"),
        "{out}"
    );
    let (_, out, _) = trunk("srtp_keys_in_clear = true");
    assert!(
        out.contains("has no effect while trunks.acme.srtp"),
        "{out}"
    );
    let (code, out, _) = trunk("srtp = \"optional\"");
    assert!(is(code, 0) && !out.contains("warning: "), "{out}");
}

#[test]
fn a_mistake_in_a_dialplan_is_shown_with_its_place_and_fails() {
    let file = File::new("bad.kdl", &PLAN.replace("hangup", "hangupp"));
    for command in ["check", "test"] {
        let (code, out, err) = tandem(&[command, file.path()]);
        let shown = format!("{out}{err}");
        assert!(
            is(code, 1) && shown.contains("bad.kdl:") && shown.contains("hangup"),
            "{shown}"
        );
    }
    let (code, _, err) = tandem(&["check", "/nowhere"]);
    assert!(
        is(code, 2) && err.contains("/nowhere: cannot be read"),
        "{err}"
    );
}

#[test]
fn a_server_whose_address_is_taken_says_which_and_why_once_and_ends_with_3() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let data = std::env::temp_dir().join(format!("tandem-cli-taken-{}", std::process::id()));
    let text = format!(
        "data = {data:?}\ndialplans = {data:?}\n[log]\nfilter = \"off\"\n\
         [sip]\nudp = [\"{address}\"]\ntcp = []\ntls = []\n"
    );
    let file = File::new("taken.toml", &text);
    let (code, _, err) = tandem(&["serve", "--config", file.path()]);
    std::fs::remove_dir_all(&data).unwrap();
    assert!(is(code, 3), "{err}");
    let want =
        format!("tandem: listener 0: cannot listen on UDP {address}: Address already in use");
    assert!(err.starts_with(&want), "{err}");
    assert_eq!(err.matches("in use").count(), 1, "{err}");
}
