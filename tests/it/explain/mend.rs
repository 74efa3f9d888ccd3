//! A fix is made: by the very words of the sentence where it is an edit, else as the row says.

use toml::{Table, Value};

use super::row::Row;

/// Makes the edit that the sentence describes.
pub(super) fn by_sentence(row: &mut Row, fix: &str) -> Result<(), String> {
    let made = add_to_list(row, fix)
        .or_else(|| instead(row, fix))
        .or_else(|| set_in(row, fix))
        .or_else(|| set(row, fix))
        .or_else(|| raise(row, fix))
        .or_else(|| new_trunk(row, fix))
        .or_else(|| entry(row, fix))
        .or_else(|| rewrite(row, fix))
        .or_else(|| rename(row, fix))
        .or_else(|| authentication_name(row, fix));
    made.ok_or_else(|| format!("this fix is for people alone, the row must say how: {fix:?}"))
}

/// Makes the edits of the row's `mend`: `config` by key, `plan` by replacement, `call`, `registered`.
pub(super) fn by_row(row: &mut Row) -> Result<(), String> {
    for (key, value) in row.mend.clone() {
        match (key.as_str(), value) {
            ("config", Value::Table(edits)) => {
                for (key, value) in edits {
                    put(&mut row.config, &key, value)?;
                }
            }
            ("remove", Value::Array(keys)) => {
                for key in keys {
                    let key = key.as_str().unwrap().to_owned();
                    let (table, last) = parent(&mut row.config, &key)?;
                    table
                        .remove(last)
                        .ok_or(format!("{key}: nothing to remove"))?;
                }
            }
            ("plan", Value::Array(edits)) => {
                for edit in edits {
                    let (from, to) = (edit[0].as_str().unwrap(), edit[1].as_str().unwrap());
                    if !row.plan.contains(from) {
                        return Err(format!("{from:?} is not in the plan"));
                    }
                    row.plan = row.plan.replace(from, to);
                }
            }
            ("call", Value::Table(edits)) => row.call.extend(edits),
            ("call_without", Value::Array(keys)) => {
                for key in keys {
                    row.call.remove(key.as_str().unwrap());
                }
            }
            ("registered", Value::Array(names)) => {
                let one = |it: &Value| it.as_str().unwrap().to_owned();
                row.registered = Some(names.iter().map(one).collect());
            }
            ("before", Value::Integer(count)) => row.before = u32::try_from(count).unwrap(),
            (other, value) => return Err(format!("mend.{other}: {value} makes no sense")),
        }
    }
    Ok(())
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

/// A key's path at the beginning of a text.
fn path(text: &str) -> &str {
    let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || "._-".contains(it)));
    text.get(..end.unwrap_or(text.len()))
        .unwrap_or_default()
        .trim_end_matches('.')
}

/// `add "V" to KEY`
fn add_to_list(row: &mut Row, fix: &str) -> Option<()> {
    let value = between(fix, "add \"", "\" to ")?;
    let key = path(fix.split_once("\" to ")?.1).to_owned();
    let (table, last) = parent(&mut row.config, &key).ok()?;
    let list = table.entry(last).or_insert(Value::Array(Vec::new()));
    list.as_array_mut()?.push(value.into());
    Some(())
}

/// `write "V" instead of "W" in KEY`
fn instead(row: &mut Row, fix: &str) -> Option<()> {
    let new = between(fix, "write \"", "\" instead of")?;
    let old = between(fix, "instead of \"", "\" in ")?;
    let key = path(fix.split_once("\" in ")?.1).to_owned();
    let (table, last) = parent(&mut row.config, &key).ok()?;
    let list = table.get_mut(last)?.as_array_mut()?;
    *list.iter_mut().find(|it| it.as_str() == Some(old))? = new.into();
    Some(())
}

/// `set NAME = VALUE in KEY`
fn set_in(row: &mut Row, fix: &str) -> Option<()> {
    let (name, rest) = fix.strip_prefix("set ")?.split_once(" = ")?;
    let (value, rest) = rest.split_once(" in ")?;
    let value = format!("it = {value}")
        .parse::<Table>()
        .ok()?
        .remove("it")?;
    put(&mut row.config, &format!("{}.{name}", path(rest)), value).ok()
}

/// `set KEY = VALUE`
fn set(row: &mut Row, fix: &str) -> Option<()> {
    let (_, rest) = fix.split_once("set ")?;
    let (key, rest) = rest.split_once(" = ")?;
    let end = match rest.starts_with('[') {
        true => rest.find(']')? + 1,
        false => rest.find([',', ';', ' ']).unwrap_or(rest.len()),
    };
    let value = format!("it = {}", rest.get(..end)?);
    let value = value.parse::<Table>().ok()?.remove("it")?;
    put(&mut row.config, key, value).ok()
}

/// `raise KEY`
fn raise(row: &mut Row, fix: &str) -> Option<()> {
    let key = path(fix.strip_prefix("raise ")?).to_owned();
    let (table, last) = parent(&mut row.config, &key).ok()?;
    let value = table.get(last)?.as_integer()?;
    table.insert(last.to_owned(), (value * 10).into());
    Some(())
}

/// `add a trunk with addresses = ["A"]`
fn new_trunk(row: &mut Row, fix: &str) -> Option<()> {
    let address = between(fix, "add a trunk with addresses = [\"", "\"]")?;
    put(
        &mut row.config,
        "trunks.new.addresses",
        vec![address].into(),
    )
    .ok()
}

/// ``add `entry did="N" flow=…` ``
fn entry(row: &mut Row, fix: &str) -> Option<()> {
    let number = between(fix, "add `entry did=\"", "\"")?;
    let flow = between(&row.plan, "flow=\"", "\"").or(between(&row.plan, "flow \"", "\""))?;
    row.plan = format!("{}\nentry did=\"{number}\" flow=\"{flow}\"\n", row.plan);
    Some(())
}

/// `write entry did="A" (FILE:LINE) as did="B"`
fn rewrite(row: &mut Row, fix: &str) -> Option<()> {
    let old = between(fix, "write entry did=\"", "\"")?;
    let new = between(fix, "as did=\"", "\"")?;
    let (old, new) = (format!("did=\"{old}\""), format!("did=\"{new}\""));
    row.plan.contains(&old).then_some(())?;
    row.plan = row.plan.replace(&old, &new);
    Some(())
}

/// `write NAME, or add [endpoints.WRONG]`
fn rename(row: &mut Row, fix: &str) -> Option<()> {
    let right = between(fix, "write ", ", or add [endpoints.")?;
    let wrong = between(fix, "[endpoints.", "]")?;
    let quoted = format!("\"{wrong}\"");
    row.plan.contains(&quoted).then_some(())?;
    row.plan = row.plan.replace(&quoted, &format!("\"{right}\""));
    Some(())
}

/// `set the phone's authentication name to NAME`
fn authentication_name(row: &mut Row, fix: &str) -> Option<()> {
    let name = fix.strip_prefix("set the phone's authentication name to ")?;
    row.call.insert("user".to_owned(), name.into());
    Some(())
}

fn put(config: &mut Table, key: &str, value: Value) -> Result<(), String> {
    let (table, last) = parent(config, key)?;
    table.insert(last.to_owned(), value);
    Ok(())
}

/// The table of a key, made where it is missing, and the key's last part.
fn parent<'t, 'k>(config: &'t mut Table, key: &'k str) -> Result<(&'t mut Table, &'k str), String> {
    let mut table = config;
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    for part in tables.split('.').filter(|part| !part.is_empty()) {
        let next = table.entry(part).or_insert(Value::Table(Table::new()));
        table = next
            .as_table_mut()
            .ok_or(format!("{key}: {part} is no table"))?;
    }
    Ok((table, last))
}
