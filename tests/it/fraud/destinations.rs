//! Destinations that an endpoint may not dial: every way there is stopped, and goes through without the bar.

use sip::message::Method;

use super::*;

/// An attack that a prefix stops: what is tried, whose limit it is, the id it is refused with, and a
/// limit that lets it through.
type Case = (
    Attack,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Where a call goes.
const DESTINATIONS: [Case; 26] = [
    (
        Dials("+882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("00882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("011882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("882123456789"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("%2B882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("+8-8.2(123)456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("+882123456;x=1"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("+882123456:pw"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("%2B%38%38%32123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("0000882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("premium"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-not-a-number",
        "",
    ),
    (
        Dials("%D9%A8%D9%A8%D9%A2"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-not-a-number",
        "",
    ),
    (
        Dials("+882123456"),
        TRUNK,
        "allow = [\"+33\"]",
        "destination-not-allowed",
        "allow = [\"+8\"]",
    ),
    (
        Dials("0892123456"),
        TRUNK,
        "deny = [\"+3389\"]",
        "destination-denied",
        "allow = [\"+33892\"]|deny = [\"+3389\"]",
    ),
    (
        Dials("00339-9212-3456"),
        TRUNK,
        "allow = [\"+331\"]",
        "destination-not-allowed",
        "",
    ),
    (
        Dials("3699"),
        TRUNK,
        "deny = [\"36\"]",
        "destination-denied",
        "deny = [\"37\"]",
    ),
    (
        Dials("*72882123456"),
        TRUNK,
        "deny = [\"*\"]",
        "destination-denied",
        "deny = [\"#\"]",
    ),
    (
        Dials("+882123456"),
        ENDPOINT,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Dials("00882123456"),
        ENDPOINT,
        "allow = [\"+33\"]",
        "destination-not-allowed",
        "allow = [\"+\"]",
    ),
    (
        Dials("+4930123456"),
        ENDPOINT,
        "[endpoints.anna.limits.night]|from = \"11:00\"|to = \"13:00\"|deny = [\"+\"]",
        "destination-closed-at-night",
        "[endpoints.anna.limits.night]|from = \"13:00\"|to = \"11:00\"|deny = [\"+\"]",
    ),
    (
        Transfers("+882123456"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Transfers("00882123456"),
        ENDPOINT,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Calls("+33142685308"),
        TRUNK,
        "deny = [\"+882\"]",
        "destination-denied",
        "deny = [\"+883\"]",
    ),
    (
        Calls("+33142685308"),
        TRUNK,
        "minutes_per_day = 0",
        "minutes-per-day",
        "minutes_per_day = 1",
    ),
    (
        Dials("+882123456"),
        TRUNK,
        "spend_per_day = \"1\"|rates.\"+33\" = \"0.1\"",
        "destination-unrated",
        "spend_per_day = \"1\"|rates.\"+882\" = \"0.1\"",
    ),
    (
        Dials("+882123456"),
        ENDPOINT,
        "spend_per_day = \"1\"|rates.default = \"0.1 + 2\"",
        "spend-per-day",
        "spend_per_day = \"2.1\"|rates.default = \"0.1 + 2\"",
    ),
];

#[test]
fn twenty_six_ways_to_a_barred_destination_are_stopped_and_go_through_without_the_bar() {
    for (attack, whose, defence, id, without) in &DESTINATIONS {
        let config = |text: &str| match *whose {
            TRUNK => lab(&format!("{TRUNK}{text}"), ""),
            _ => lab("", &format!("{ENDPOINT}{text}")),
        };
        let mut defended = config(defence);
        let got = attempt(&mut defended, attack);
        let told = defended.troubles();
        let uri = got.as_ref().map(|got| got.request_uri().unwrap());
        assert!(
            uri.is_none() && told.contains(id),
            "{id} {defence}: {uri:?}, {told}"
        );
        let mut open = config(without);
        let got = attempt(&mut open, attack);
        assert!(
            got.is_some(),
            "{without}: nothing went out: {}",
            open.troubles()
        );
    }
}

#[test]
fn whoever_dials_a_barred_number_hears_403_and_a_transferor_is_told_so() {
    let mut lab = lab("", &format!("{ENDPOINT}deny = [\"+882\"]"));
    lab.invite_as("anna", ANNA, "+882123456", "");
    assert_eq!(lab.status(ANNA), Some(403), "{}", lab.troubles());

    lab.register("anna", ANNA);
    lab.invite(FAR, "+33142685301", "");
    let rung = lab.invited(ANNA).unwrap();
    lab.reply(ANNA, &rung, 200, "");
    lab.within(ANNA, &rung, "REFER", "Refer-To: <sip:+882123456@192.0.2.1>");
    let told = lab.take(ANNA);
    let told = told.iter().filter(|it| it.method() == Some(Method::Notify));
    let bodies: Vec<_> = told
        .map(|it| String::from_utf8_lossy(it.body()).into_owned())
        .collect();
    assert!(
        bodies.iter().any(|body| body.starts_with("SIP/2.0 403")),
        "{bodies:?}"
    );
}

#[test]
fn a_redirection_leads_only_to_where_the_limits_would_let_the_call_be_dialled() {
    let dear = "spend_per_day = \"9\"|rates.\"+49\" = \"0.1\"|rates.\"+882\" = ";
    let table = [
        ("", true),
        ("deny = [\"+882\"]", false),
        (&format!("{dear}\"5\""), false),
        (&format!("{dear}\"0.1\""), true),
    ];
    for (limits, goes) in table {
        let mut lab = lab(&format!("{TRUNK}{limits}"), "");
        lab.invite_as("anna", ANNA, "+4930123456", "");
        let sent = lab
            .invited(FAR)
            .unwrap_or_else(|| panic!("{}", lab.troubles()));
        let moved = format!("Contact: <sip:+882123456@{FAR}>");
        lab.reply(FAR, &sent, 302, &moved);
        lab.pass(Duration::from_millis(10));
        assert_eq!(
            lab.invited(FAR).is_some(),
            goes,
            "{limits}: {}",
            lab.troubles()
        );
    }
}
