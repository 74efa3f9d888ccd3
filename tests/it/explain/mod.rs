//! The catalogue of misconfigurations: each row is a configuration, a dialplan and a call that its author
//! expects to work. `explain` must name the cause and the fix; then the fix is made, and the call works.

mod mend;
mod row;
mod told;

use std::path::Path;

use clock::Now;
use tandem::control::{Rehearsal, Verdict};

use row::{Row, Told};

/// What a row came to.
enum Came {
    /// To somebody: how.
    Through(String),
    /// To a refusal: its id, its sentence, its fix.
    Refused(String, String, String),
}

fn ask(row: &Row) -> Came {
    let told = row.told();
    match told {
        Told::Rehearsed(Rehearsal {
            verdict: Verdict::Taken(how),
            ..
        }) => Came::Through(how),
        Told::Rehearsed(Rehearsal {
            verdict: Verdict::Refused { why, .. },
            ..
        }) => Came::Refused(why.id.to_owned(), why.to_string(), why.fix),
        Told::Mistake { id, text, fix } => Came::Refused(id, text, fix),
    }
}

/// One row: the cause, the fix, and the call that works once the fix is made.
fn judge(row: &Row) -> Result<bool, String> {
    let (id, sentence, fix) = match ask(row) {
        Came::Refused(id, sentence, fix) => (id, sentence, fix),
        Came::Through(how) => return Err(format!("nothing is found wrong: {how}")),
    };
    if id != row.want {
        return Err(format!("want the cause {}, have {sentence}", row.want));
    }
    for part in &row.fix {
        if !fix.contains(part.as_str()) {
            return Err(format!("want a fix with {part:?}, have {fix:?}"));
        }
    }
    let Some(becomes) = &row.becomes else {
        return Ok(false);
    };
    let by_words = row.mend.is_empty();
    let mut mended = row.clone();
    match by_words {
        true => mend::by_sentence(&mut mended, &fix)?,
        false => mend::by_row(&mut mended)?,
    }
    match ask(&mended) {
        Came::Through(how) if how.starts_with(becomes.as_str()) => Ok(by_words),
        Came::Through(how) => Err(format!("mended, want {becomes:?}, have {how:?}")),
        Came::Refused(_, sentence, _) => Err(format!("mended, and still {sentence}")),
    }
}

#[test]
fn each_catalogued_misconfiguration_is_explained_and_its_fix_makes_the_call_work() {
    let rows = row::all(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/explain/catalogue"
    )));
    let only = std::env::var("TANDEM_EXPLAIN_ROW").ok();
    let rows = rows
        .iter()
        .filter(|row| only.as_ref().is_none_or(|it| row.name.contains(it)));
    let rows: Vec<&Row> = rows.collect();
    let mut wrong = Vec::new();
    let (mut mended, mut by_words) = (0, 0);
    for row in &rows {
        match judge(row) {
            Ok(words) => {
                mended += usize::from(row.becomes.is_some());
                by_words += usize::from(words);
            }
            Err(why) => wrong.push(format!("{} ({}): {why}", row.name, row.file)),
        }
    }
    let threads = rows.iter().filter(|row| row.source.is_some()).count();
    println!(
        "{} misconfigurations, {threads} of them from other servers' threads; {} explained, {mended} \
         mended and working, {by_words} of these by the fix's own words",
        rows.len(),
        rows.len() - wrong.len(),
    );
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    if only.is_none() {
        assert!(
            rows.len() >= 60 && threads >= 20,
            "{} rows, {threads} threads",
            rows.len()
        );
    }
}

#[test]
fn a_rehearsal_takes_nothing_and_sends_nothing() {
    let rows = row::all(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/explain/catalogue"
    )));
    for row in &rows {
        let (Ok(mut shard), Ok(probe)) = (row.shard(), row.probe()) else {
            continue;
        };
        while shard.poll_output().is_some() {}
        let before = (shard.holds(), shard.sip_counts(), shard.registrations());
        let first = shard.rehearse(Now::ZERO, &probe);
        let second = shard.rehearse(Now::ZERO, &probe);
        assert_eq!(first, second, "{}", row.name);
        let after = (shard.holds(), shard.sip_counts(), shard.registrations());
        assert_eq!(before, after, "{}", row.name);
        assert!(shard.poll_output().is_none(), "{}", row.name);
    }
}
