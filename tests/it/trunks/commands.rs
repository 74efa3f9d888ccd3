//! The commands about trunks, as somebody at a terminal runs them: what they print, and how they end.

use std::path::PathBuf;
use std::process::Command;

use super::zone::Zone;

/// A folder that vanishes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, config: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("plans")).unwrap();
        let head = "dialplans = \"plans\"\n[sip]\nudp = [\"127.0.0.1:5060\"]\ntcp = []\ntls = []\n";
        std::fs::write(path.join("tandem.toml"), format!("{head}{config}")).unwrap();
        std::fs::write(path.join("plans/p.kdl"), PLAN).unwrap();
        Self(path)
    }

    /// What the command prints, and its exit code.
    fn run(&self, words: &str) -> (String, i32) {
        let run = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(words.split(' '))
            .args(["--config", "tandem.toml"])
            .env_remove("TANDEM_CONFIG")
            .current_dir(&self.0)
            .output()
            .unwrap();
        let mut said = String::from_utf8(run.stdout).unwrap();
        said += &String::from_utf8(run.stderr).unwrap();
        (said, run.status.code().unwrap())
    }

    fn prints(&self, words: &str, want: &str, code: i32) {
        let (said, ended) = self.run(words);
        assert_eq!(
            said.trim_end(),
            want.trim_matches('\n').trim_end(),
            "{words}"
        );
        assert_eq!(ended, code, "{words}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PLAN: &str = r#"dialplan version=1 tz="UTC"
entry did="+33142685300" flow="in"
flow "in" { answer; dial "+4930123456" trunk="acme" timeout="60s"; hangup; }
"#;

const ACME: &str = r#"
[trunks.acme]
send_to = ["127.0.3.7:5070", "127.0.3.8", "[2001:db8::7]:5060"]
addresses = ["127.0.3.0/24"]
headers = [{ set = "X-Customer", value = "42" }, { remove = "Diversion" }]
headers_in = [{ remove = "P-Asserted-Identity" }]
[trunks.acme.normalize]
country = "FR"
send = "national"
[trunks.acme.numbers]
in = [{ prefix = "9", replace = "" }]
out = [{ prefix = "0", replace = "90" }]
[trunks.acme.session_timer]
mode = "require"
expires = "10m"
"#;

#[test]
fn trunk_test_shows_numbers_both_ways_targets_headers_sources_and_the_timer() {
    let folder = Folder::new("trunk-test", ACME);
    folder.prints(
        "trunk test acme --from +33142685300 --to 90142685300",
        "
trunk acme

caller +33142685300
  out  0142685300           by normalize.send
       90142685300          by numbers.out, as it goes
  in   +33142685300         by numbers.in
       +33142685300         by normalize.country, as dialplans see it

called 90142685300
  out  90142685300          by normalize.send
       90142685300          by numbers.out, as it goes
  in   0142685300           by numbers.in
       +33142685300         by normalize.country, as dialplans see it

targets, in the order of one draw by weight
  1  UDP 127.0.3.7:5070           sip:90142685300@127.0.3.7:5070
  2  UDP 127.0.3.8:5060           sip:90142685300@127.0.3.8:5060
  -  no listener reaches [2001:db8::7]:5060 by UDP

headers of an INVITE to it
  set     X-Customer: 42
  remove  Diversion

headers of an INVITE from it
  remove  P-Asserted-Identity

who may call by it
  127.0.3.0/24

session timer
  required with 600 s, accepted from 90 s
",
        0,
    );
    folder.prints(
        "trunk test acmee",
        "tandem: trunks.acmee: no such trunk; did you mean acme?",
        2,
    );
}

#[test]
fn trunk_test_looks_names_up_and_says_what_is_in_the_way() {
    let zone = Zone::serve(
        "_sip._udp.acme.example 60 SRV 20 1 5060 two.acme.example
         _sip._udp.acme.example 60 SRV 10 1 5070 one.acme.example
         one.acme.example 60 A 127.0.3.7
         two.acme.example 60 A 127.0.3.8
         gate.acme.example 60 A 127.0.3.9",
    );
    let dns = format!("[dns]\nservers = [\"{}\"]\n", zone.address);
    let trunk = "[trunks.acme]\nsend_to = [\"acme.example\"]\n\
                 addresses = [\"gate.acme.example\", \"gone.acme.example\"]\n";
    let folder = Folder::new("trunk-names", &format!("{dns}{trunk}"));
    folder.prints(
        "trunk test acme --to +33142685300",
        "
trunk acme

called +33142685300
  out  +33142685300         by normalize.send
       +33142685300         by numbers.out, as it goes
  in   +33142685300         by numbers.in
       +33142685300         by normalize.country, as dialplans see it

targets, in the order of one draw by weight
  1  UDP 127.0.3.7:5070           sip:+33142685300@acme.example
  2  UDP 127.0.3.8:5060           sip:+33142685300@acme.example

who may call by it
  gate.acme.example: 127.0.3.9
  gone.acme.example: nobody (gone.acme.example has no address)

session timer
  asked for with 1800 s, accepted from 90 s
",
        0,
    );
    let trunk = "[trunks.acme]\nsend_to = [\"gone.example\"]\n";
    let gone = Folder::new("trunk-gone", &format!("{dns}{trunk}"));
    let (said, code) = gone.run("trunk test acme");
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("  -  gone.example has no address\n"),
        "{said}"
    );
    assert!(
        said.ends_with("tandem: trunk acme: no target that a listener reaches\n"),
        "{said}"
    );
}

#[test]
fn explain_leads_a_call_in_and_out_by_a_trunk_or_says_what_is_missing() {
    let folder = Folder::new("trunk-explain", ACME);
    let call = "explain --from +15550000001 --to 90142685300";
    let known = "  listener  UDP on 127.0.0.1:5060
  source    127.0.3.20:5060 is trunk acme's, by 127.0.3.0/24
  caps      calls 0 in use of no cap; new calls a second: no cap
";
    let (said, code) = folder.run(&format!("{call} --ip 127.0.3.20 --callee answers"));
    let want = format!(
        "{known}refused by 421: sip-session-timer-required
  want  a peer that supports session timers (RFC 4028)
  have  an INVITE without timer in Supported
  fix   have the peer support them, or set trunks.acme.session_timer.mode = \"ask\"
  see   docs/errors/sip-session-timer-required.md
tandem: the call is not taken
"
    );
    assert_eq!((said, code), (want, 1));
    // The fix, as it says.
    let mended = Folder::new("trunk-mended", &ACME.replace("\"require\"", "\"ask\""));
    let way = "  number    from +15550000001 is +15550000001, to 90142685300 is +33142685300
  entry     did=\"+33142685300\" → flow \"in\" (plans/p.kdl:2)
  flow      in: answer
  flow      in: dial
";
    let (said, code) = mended.run(&format!("{call} --ip 127.0.3.20 --callee answers"));
    let want = format!(
        "{known}{way}  bridged   with +4930123456
  rings     sip:+4930123456@127.0.3.7:5070 at 127.0.3.7:5070 (UDP)
taken: talks to +4930123456
"
    );
    assert_eq!((said, code), (want, 0));
    // Nobody answers: every target is asked.
    let (said, code) = mended.run(&format!("{call} --ip 127.0.3.20 --callee silent"));
    for target in ["127.0.3.7:5070", "127.0.3.8:5060"] {
        let rings = format!("  rings     sip:+4930123456@{target} at {target} (UDP)\n");
        assert!(said.contains(&rings), "{said}");
    }
    assert!(code == 1 && said.contains(": callee-silent\n"), "{said}");
    let (said, code) = mended.run(&format!("{call} --ip 127.0.4.20"));
    let fix = "  fix   add \"127.0.4.20\" to trunks.acme.addresses (nearest there: 127.0.3.0/24)\n";
    assert!(code == 1 && said.contains(fix), "{said}");
}
