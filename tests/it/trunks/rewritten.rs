//! What header rules do on the way in and out.

use sip::message::Name;

use super::{CALLER, ONE, final_of, invite_at, ms};
use crate::lab::Lab;

/// The caller's trunk has these keys.
fn lab(caller: &str) -> Lab {
    super::lab(&format!(
        "send_to = [\"10.9.1.1\"]\nidentity = {{ send = \"from+pai\" }}\n\
         [trunks.in]\naddresses = [\"10.9.1.3\"]\n{caller}"
    ))
}

/// What the carrier that we call is shown of a caller who says this.
fn shown(caller: &str, lines: &str) -> (String, Option<String>) {
    let mut lab = lab(caller);
    lab.invite(super::THREE.0, "+15550001", lines);
    let invite = invite_at(&mut lab, ONE);
    let from = invite.from().unwrap().uri.user_name().unwrap().into_owned();
    (
        from,
        invite
            .header_named("P-Asserted-Identity")
            .map(str::to_owned),
    )
}

#[test]
fn headers_of_a_carriers_invite_are_changed_before_anything_reads_them() {
    let says = "P-Asserted-Identity: <sip:+4930555@carrier>";
    // The control: what comes is believed.
    assert_eq!(shown("", says).0, "+4930555");
    let removed = "headers_in = [{ remove = \"p-asserted-identity\" }]";
    assert_eq!(shown(removed, says).0, "+15550000001");
    let set = "headers_in = [{ set = \"P-Asserted-Identity\", value = \"<sip:+33155@x>\" }]";
    assert_eq!(shown(set, says).0, "+33155");
    assert_eq!(shown(set, "").0, "+33155");
    let hidden = "headers_in = [{ add = \"Privacy\", value = \"id\" }]";
    assert_eq!(shown(hidden, says).0, "anonymous");
    // Folded and spelled otherwise, it is the same header.
    let folded = "P-ASSERTED-Identity:\r\n <sip:+4930555@carrier>";
    assert_eq!(shown("", folded).0, "+4930555");
    assert_eq!(shown(removed, folded).0, "+15550000001");
}

#[test]
fn only_the_trunks_own_calls_are_changed_and_the_call_is_heard() {
    let mut lab =
        lab("headers_in = [{ set = \"P-Asserted-Identity\", value = \"<sip:+33155@x>\" }]");
    lab.invite(CALLER.0, "+15550001", "");
    let invite = invite_at(&mut lab, ONE);
    let from = invite.from().unwrap().uri.user_name().unwrap().into_owned();
    assert_eq!(from, "+15550000001");
    super::talk(&mut lab, ONE, &invite);
    lab.invite(super::THREE.0, "+15550001", "");
    let invite = invite_at(&mut lab, ONE);
    lab.reply(ONE.0, &invite, 200, "");
    lab.pass(ms(50));
    lab.hear_each_other(super::THREE, ONE);
    assert!(final_of(&mut lab).is_none());
}

#[test]
fn headers_to_the_carrier_are_set_added_and_removed() {
    let mut lab = super::lab(
        "send_to = [\"10.9.1.1\", \"10.9.1.2\"]\nidentity = { send = \"from+pai\" }\n\
         headers = [{ set = \"X-Customer\", value = \"42\" }, { remove = \"P-Asserted-Identity\" }]",
    );
    lab.invite(CALLER.0, "+15550001", "");
    for target in [ONE, super::TWO] {
        let invite = invite_at(&mut lab, target);
        assert_eq!(invite.header_named("X-Customer"), Some("42"));
        assert!(invite.header_named("P-Asserted-Identity").is_none());
        assert!(invite.header(Name::From).is_some());
        lab.reply(target.0, &invite, 503, "");
        lab.pass(ms(20));
    }
}
