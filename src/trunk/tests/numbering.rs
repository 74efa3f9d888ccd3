//! Numbers as carriers of three countries write them.

use proptest::prelude::{prop_assert_eq, proptest};

use super::super::{Numbers, SendForm};

fn numbers(country: &str, send: SendForm) -> Numbers {
    Numbers::of(country, send).unwrap()
}

#[test]
fn a_full_number_is_received_in_e164_however_it_is_written() {
    let table = [
        ("FR", "0142685300", "+33142685300"),
        ("FR", "01 42 68 53 00", "+33142685300"),
        ("FR", "0033142685300", "+33142685300"),
        ("FR", "+33142685300", "+33142685300"),
        ("FR", "+33 1 42 68 53 00", "+33142685300"),
        ("FR", "0612345678", "+33612345678"),
        ("FR", "00442071838750", "+442071838750"),
        ("GB", "02071838750", "+442071838750"),
        ("GB", "(020) 7183 8750", "+442071838750"),
        ("GB", "07400123456", "+447400123456"),
        ("GB", "0033142685300", "+33142685300"),
        ("US", "2024561111", "+12024561111"),
        ("US", "12024561111", "+12024561111"),
        ("US", "(202) 456-1111", "+12024561111"),
        ("US", "011442071838750", "+442071838750"),
    ];
    for (country, number, want) in table {
        let received = numbers(country, SendForm::E164).received(number);
        assert_eq!(received, want, "{number} in {country}");
    }
}

#[test]
fn what_is_no_full_number_is_nobodys_to_rewrite() {
    let table = [
        ("FR", "112"),
        ("FR", "15"),
        ("FR", "3179"),
        ("FR", "118712"),
        ("GB", "999"),
        ("GB", "101"),
        ("US", "911"),
        ("US", "988"),
        ("FR", "alice"),
        ("FR", ""),
        ("FR", "anonymous"),
        ("FR", "*31#0142685300"),
        ("FR", "0042"),
        ("GB", "1001"),
        ("US", "0142685300999999999999"),
        ("FR", "+"),
        ("FR", "+0142685300"),
    ];
    for (country, number) in table {
        let rules = numbers(country, SendForm::National);
        assert_eq!(rules.received(number), number, "{country}");
        assert_eq!(rules.sent(number), number, "{country}");
    }
}

#[test]
fn a_number_is_sent_in_the_form_that_the_trunk_wants() {
    let table = [
        ("FR", SendForm::E164, "+33142685300", "+33142685300"),
        ("FR", SendForm::E164, "0142685300", "+33142685300"),
        ("FR", SendForm::Digits, "+33142685300", "33142685300"),
        ("FR", SendForm::National, "+33142685300", "0142685300"),
        ("FR", SendForm::National, "+442071838750", "+442071838750"),
        ("GB", SendForm::National, "+442071838750", "02071838750"),
        ("US", SendForm::National, "+12024561111", "2024561111"),
        ("US", SendForm::Digits, "+12024561111", "12024561111"),
    ];
    for (country, form, number, want) in table {
        assert_eq!(
            numbers(country, form).sent(number),
            want,
            "{number} {form:?} in {country}"
        );
    }
}

#[test]
fn a_trunk_without_a_country_passes_numbers_as_they_come() {
    for number in ["0142685300", "01 42", "alice", "+33 1"] {
        assert_eq!(Numbers::AS_IS.received(number), number);
        assert_eq!(Numbers::AS_IS.sent(number), number);
    }
    assert_eq!(Numbers::of("France", SendForm::E164), None);
}

proptest! {
    #[test]
    fn a_received_number_is_received_as_itself(number in "[+0-9 ()a-z;=.-]{0,24}") {
        let rules = numbers("FR", SendForm::E164);
        let once = rules.received(&number);
        prop_assert_eq!(rules.received(&once), once);
    }
}
