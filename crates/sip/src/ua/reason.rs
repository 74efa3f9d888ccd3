//! The Reason header (RFC 3326): why a call ended, in the telephone network's words.

/// What a phone that rang is told when another has answered, so that it counts no missed call (RFC 3326 §3.1).
pub const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Writes a Reason value of the telephone network, such as `Q.850;cause=17;text="User busy"`.
pub fn q850(cause: u16, text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect();
    if text.is_empty() {
        return format!("Q.850;cause={cause}");
    }
    format!("Q.850;cause={cause};text=\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::q850;

    // covers: RFC 3326 §2
    #[test]
    fn a_reason_cannot_break_out_of_its_quotes_or_its_line() {
        assert_eq!(
            q850(17, "User \"busy\"\r\nX: y"),
            "Q.850;cause=17;text=\"User busyX: y\""
        );
        assert_eq!(q850(16, ""), "Q.850;cause=16");
    }
}
