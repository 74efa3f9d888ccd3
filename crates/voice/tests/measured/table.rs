//! The tables, for people and as lines of JSON.

use std::fmt::Write as _;

/// Lines of `benches/results/voice.json`.
#[derive(Default)]
pub(crate) struct Table {
    json: String,
}

impl Table {
    /// Adds a line: prints it, and keeps it as JSON. Texts and numbers in their order.
    pub(crate) fn line(&mut self, texts: &[(&str, &str)], numbers: &[(&str, f64)]) {
        let mut json = String::new();
        for (name, value) in texts {
            print!("{value:>22} ");
            let _ = write!(json, "\"{name}\":\"{value}\",");
        }
        for (name, value) in numbers {
            print!("{name} {value:>6.1}  ");
            let _ = write!(json, "\"{name}\":{value:.1},");
        }
        println!();
        let load = load();
        let _ = writeln!(self.json, "{{{json}\"load\":{load}}}");
    }

    /// Keeps the lines as those of `what`, if recording is asked for.
    pub(crate) fn keep(&self, what: &str) {
        if std::env::var_os("TANDEM_BENCH_RECORD").is_none() {
            return;
        }
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../benches/results/voice.json"
        );
        let mine = format!("{{\"what\":\"{what}\"");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let others = before.lines().filter(|line| !line.starts_with(&mine));
        let mut text: String = others.map(|line| format!("{line}\n")).collect();
        text.push_str(&self.json);
        std::fs::write(path, text).unwrap();
    }
}

/// The machine's load of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("0").to_owned()
}
