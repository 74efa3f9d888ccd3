//! Tables of limits: where a number may be called, and what an operator may write.

use super::super::{Destinations, Forms, Limits, Numbers, Owner, OwnerKind, SendForm};
use crate::config::{ConfigError, Section};

fn read(text: &str, kind: OwnerKind) -> Result<Limits, ConfigError> {
    Limits::read(
        Section::from_toml(text.replace('|', "\n").parse().unwrap()),
        kind,
    )
}

fn list(prefixes: &str) -> Vec<String> {
    prefixes.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_longest_prefix_decides_however_the_number_is_written() {
    let french = Numbers::of("FR", SendForm::E164).unwrap();
    let american = Numbers::of("US", SendForm::E164).unwrap();
    let plain = Numbers::AS_IS;
    let table: &[(&str, &str, &Numbers, &str, bool)] = &[
        ("", "", &plain, "+882123456", true),
        ("", "+882", &plain, "+882123456", false),
        ("", "+882", &plain, "00882123456", false),
        ("", "+882", &plain, "011882123456", false),
        ("", "+882", &plain, "882123456", false),
        ("", "+882", &plain, "+8 8-2.123(456)", false),
        ("", "+882", &plain, "0000882123456", false),
        ("", "+882", &plain, "+883123456", true),
        ("+33", "", &french, "0142685300", true),
        ("+33", "", &french, "+4930123456", false),
        ("+33", "+338", &french, "0892123456", false),
        ("+33", "+338", &french, "0142685300", true),
        ("+3389", "+338", &french, "0892123456", true),
        ("+33", "+33", &french, "0142685300", false),
        ("+1", "+212", &american, "2125551234", true),
        ("", "+212", &plain, "2125551234", false),
        ("", "*", &plain, "*72", false),
        ("", "+", &french, "0142685300", false),
        ("", "+", &french, "118", true),
        ("118", "+", &french, "118218", true),
    ];
    for (allow, deny, numbers, number, may) in table {
        let destinations = Destinations::new(list(allow), list(deny));
        let forms = Forms::of(number, numbers).unwrap();
        let found = destinations.permit(&forms).is_ok();
        assert_eq!(found, *may, "allow {allow:?} deny {deny:?}: {number}");
    }
    for no in [
        "",
        "+",
        "anna",
        "+882;ext=1",
        "+88\u{663}2",
        "+882 x",
        "0x33",
        &"1".repeat(41),
    ] {
        assert_eq!(Forms::of(no, &plain), None, "{no}");
    }
}

#[test]
fn nights_close_further_destinations_also_over_midnight_and_in_their_zone() {
    let text = "tz = \"Europe/Paris\"|[night]|from = \"20:00\"|to = \"07:00\"|deny = [\"+\"]";
    let limits = read(text, OwnerKind::Endpoint).unwrap();
    let owner = Owner::endpoint("anna");
    let forms = Forms::of("+4930123456", &Numbers::AS_IS).unwrap();
    let table = [
        ("2026-11-20T18:59:59Z", true),
        ("2026-11-20T19:00:00Z", false),
        ("2026-11-20T23:30:00Z", false),
        ("2026-11-21T05:59:59Z", false),
        ("2026-11-21T06:00:00Z", true),
    ];
    for (at, may) in table {
        let found = limits.permit(&owner, &forms, at.parse().unwrap());
        assert_eq!(found.is_ok(), may, "{at}");
    }
}

#[test]
fn a_mistake_in_limits_names_key_and_rule() {
    let table = [
        ("allow = [\"33x\"]", OwnerKind::Trunk, "allow"),
        ("deny = [\"\"]", OwnerKind::Trunk, "deny"),
        ("calls = 3", OwnerKind::Trunk, "calls"),
        ("spend_per_day = \"5\"", OwnerKind::Trunk, "rates"),
        (
            "spend_per_day = \"5,5\"",
            OwnerKind::Endpoint,
            "spend_per_day",
        ),
        (
            "minutes_per_day = -1",
            OwnerKind::Endpoint,
            "minutes_per_day",
        ),
        ("tz = \"Paris\"", OwnerKind::Endpoint, "tz"),
        (
            "[night]|from = \"20:00\"|deny = [\"+\"]",
            OwnerKind::Endpoint,
            "night.to",
        ),
        (
            "[night]|from = \"20:00\"|to = \"7\"",
            OwnerKind::Endpoint,
            "night.to",
        ),
        ("[rates]|\"+33\" = \"cheap\"", OwnerKind::Trunk, "rates.+33"),
        ("[rates]|\"x\" = \"1\"", OwnerKind::Trunk, "rates.x"),
        ("alow = [\"+33\"]", OwnerKind::Trunk, "alow"),
    ];
    for (text, kind, key) in table {
        let error = read(text, kind).unwrap_err().to_string();
        assert!(error.starts_with(key), "{text}: {error}");
    }
    let rates = "spend_per_day = \"12.50\"|[rates]|\"+33\" = \"0.02\"|default = \"0.5 + 0.1\"";
    let limits = read(rates, OwnerKind::Trunk).unwrap();
    let price = |number: &str| {
        let forms = Forms::of(number, &Numbers::AS_IS).unwrap();
        limits.rates.price(&forms).unwrap()
    };
    assert_eq!(price("+33142685300").minute.0, 20_000);
    assert_eq!(
        (price("112").minute.0, price("112").call.0),
        (500_000, 100_000)
    );
}
