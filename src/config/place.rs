//! Where in a file a key stands, so that a mistake is told with its line.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The line, counted from 1, of the key at `path` (`trunks.acme.calls`, `sip.udp[1].address`), or of
/// the nearest table around it that the file has. `None` if the file has nothing of it.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let at = in_table(root.get_ref(), path)?;
    let before = text.get(..at)?;
    Some(before.matches('\n').count() + 1)
}

/// Names may hold dots, so the longest key that the path begins with is the one that is meant.
fn in_table(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let begins = |key: &str| {
        path.strip_prefix(key)
            .filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let (key, value, rest) = table
        .iter()
        .filter_map(|(key, value)| Some((key, value, begins(key.get_ref())?)))
        .max_by_key(|(key, ..)| key.get_ref().len())?;
    Some(in_value(value, rest).unwrap_or(key.span().start))
}

fn in_value(value: &Spanned<DeValue<'_>>, rest: &str) -> Option<usize> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, rest.strip_prefix('.')?),
        DeValue::Array(items) => in_array(items, rest.strip_prefix('[')?),
        _ => None,
    }
}

fn in_array(items: &DeArray<'_>, rest: &str) -> Option<usize> {
    let (index, rest) = rest.split_once(']')?;
    let item = items.get(index.parse::<usize>().ok()?)?;
    Some(in_value(item, rest).unwrap_or(item.span().start))
}

#[cfg(test)]
mod tests {
    use super::line_of;

    const FILE: &str = "\
api_key = \"x\"
[sip]
udp = [
  \"127.0.0.1:5060\",
  { address = \"127.0.0.2:5060\" },
]
[trunks.\"acme.eu\"]
calls = 3
[trunks.acme]
send_to = []
";

    #[test]
    fn a_key_is_found_at_its_line_and_a_missing_one_at_its_table() {
        for (path, want) in [
            ("api_key", Some(1)),
            ("sip", Some(2)),
            ("sip.udp", Some(3)),
            ("sip.udp[0].address", Some(4)),
            ("sip.udp[1].address", Some(5)),
            ("sip.udp[7].address", Some(3)),
            ("sip.realm", Some(2)),
            ("trunks.acme.eu.calls", Some(8)),
            ("trunks.acme.calls", Some(9)),
            ("trunks.acme.send_to", Some(10)),
            ("nowhere.at.all", None),
        ] {
            assert_eq!(line_of(FILE, path), want, "{path}");
        }
    }

    #[test]
    fn what_is_no_toml_has_no_lines() {
        assert_eq!(line_of("[", "sip"), None);
    }
}
