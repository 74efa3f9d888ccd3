//! Emergency calls: past the dialplan, past every limit, from trunk to trunk until one takes them.

use std::time::Duration;

use sip::message::Name;
use tandem::control::What;

use crate::lab::Lab;

const ONE: &str = "203.0.113.9:5060";
const TWO: &str = "203.0.113.10:5060";
const ANNA: &str = "10.2.0.1:5060";

fn lab(emergency: &str) -> Lab {
    Lab::new(
        &format!(
            "[limits]\ncalls = 1\n[trunks.one]\nsend_to = [\"{ONE}\"]\ncalls = 1\n\
             [trunks.one.limits]\ndeny = [\"1\"]\nminutes_per_day = 0\n\
             [trunks.two]\nsend_to = [\"{TWO}\"]\n\
             [endpoints.anna]\npassword = \"secret\"\n\
             [endpoints.anna.limits]\nallow = [\"+33\"]\ncalls = 1\n\
             [emergency]\nnumbers = [\"112\"]\n{emergency}\n"
        ),
        r#"
dialplan version=1 tz="UTC"
entry pattern="*" flow="none"
flow "none" { hangup cause="busy"; }
"#,
    )
}

const WAYS: &str = "trunks = [\"one\", \"two\"]\ncaller_id = \"+33142685300\"";

#[test]
fn an_emergency_call_goes_past_plan_limits_and_drain_and_on_to_the_next_trunk() {
    let mut lab = lab(WAYS);
    lab.control.drain();
    for turn in 0..3 {
        lab.invite_as("anna", ANNA, "1-1-2", "Privacy: id");
        let sent = lab
            .invited(ONE)
            .unwrap_or_else(|| panic!("{turn}: {}", lab.troubles()));
        assert!(sent.header(Name::From).unwrap().contains("+33142685300"));
        if turn == 0 {
            lab.reply(ONE, &sent, 503, "");
            lab.pass(Duration::from_millis(10));
            let sent = lab
                .invited(TWO)
                .unwrap_or_else(|| panic!("{}", lab.troubles()));
            lab.reply(TWO, &sent, 200, "");
            assert_eq!(lab.status(ANNA), Some(200));
        }
    }
    assert!(
        lab.events
            .iter()
            .any(|it| matches!(it, What::Emergency { .. }))
    );
    // The control: any other number meets every one of them.
    lab.take(ANNA);
    lab.invite(ANNA, "113", "From: <sip:anna@192.0.2.1>;tag=z");
    assert_eq!(lab.status(ANNA), Some(503));
    assert!(lab.invited(ONE).is_none());
}

#[test]
fn the_dialplan_takes_emergency_calls_only_where_the_configuration_says_so() {
    for (more, status) in [("dialplan = true", Some(486)), ("", None)] {
        let mut lab = lab(&format!("{WAYS}\n{more}"));
        lab.invite_as("anna", ANNA, "112", "");
        assert_eq!(lab.status(ANNA), status, "{more}: {}", lab.troubles());
        assert_eq!(lab.invited(ONE).is_some(), status.is_none(), "{more}");
    }
}
