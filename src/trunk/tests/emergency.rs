//! What an emergency number is, and what its section may say.

use super::super::{Emergency, TrunkConfig};
use super::trunk;
use crate::config::{ConfigError, Section};

fn read(text: &str) -> Result<Emergency, ConfigError> {
    let mut root = Section::from_toml(text.replace('|', "\n").parse().unwrap());
    let way = "192.0.2.9:5060".parse().unwrap();
    let target = super::super::SendTo::at(sip::transport::Transport::Udp, way);
    let sends = TrunkConfig {
        targets: vec![target],
        ..trunk("acme", &["192.0.2.9"])
    };
    let takes = trunk("silent", &["192.0.2.10"]);
    Emergency::read(root.section("emergency")?, &[sends, takes])
}

#[test]
fn an_emergency_number_is_known_however_it_is_dialled_and_nothing_else_is() {
    let known = read("[emergency]|numbers = [\"112\", \"15\"]|trunks = [\"acme\"]").unwrap();
    for yes in ["112", "15", "1-1-2", " 112 ", "112;phone-context=+33"] {
        assert!(known.is_emergency(yes), "{yes}");
    }
    let long = "1".repeat(65);
    for no in ["", "11", "1125", "+112", "0112", "115", "112x", &long] {
        assert!(!known.is_emergency(no), "{no}");
    }
    assert!(!Emergency::default().is_emergency("112"));
}

#[test]
fn a_section_that_would_leave_an_emergency_call_without_a_way_is_refused_with_its_key() {
    let table = [
        ("numbers = [\"112\"]", "emergency.trunks"),
        (
            "numbers = [\"+112\"]|trunks = [\"acme\"]",
            "emergency.numbers",
        ),
        (
            "numbers = [\"112\"]|trunks = [\"nobody\"]",
            "emergency.trunks",
        ),
        (
            "numbers = [\"112\"]|trunks = [\"silent\"]",
            "emergency.trunks",
        ),
        (
            "numbers = [\"112\"]|trunks = [\"acme\"]|caller_id = \"a b\"",
            "emergency.caller_id",
        ),
        ("number = [\"112\"]", "emergency.number"),
    ];
    for (text, key) in table {
        let error = read(&format!("[emergency]|{text}"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(key), "{text}: {error}");
    }
    assert!(
        read("[emergency]|numbers = [\"112\"]|dialplan = true")
            .unwrap()
            .by_dialplan
    );
    assert_eq!(read("").unwrap(), Emergency::default());
}
