//! A trace as a ladder: one lane a party, Tandem between them, time at the left.
//!
//! ```text
//!   time      since    carrier                  tandem                   alice
//!     0.000    0.000   │──INVITE sip:100@h──────►│                        │
//!                      │  PCMA 10.0.0.1:4000     │                        │
//!     0.002    0.002   │                         ● step main/answer
//! ```

use crate::api::{TraceEntryJson, TraceJson, TraceMessageJson};

/// How a ladder looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Whether colours may be used.
    pub(super) colour: bool,
    /// Whether messages are printed whole.
    pub(super) full: bool,
}

/// A ladder that may be drawn piece by piece.
pub(super) struct Ladder {
    look: Look,
    lanes: Vec<Lane>,
    /// Seconds at which the last entry was.
    last: f64,
    begun: bool,
}

/// Somebody's vertical line.
#[derive(Clone, Debug, PartialEq)]
struct Lane {
    /// `None` is Tandem.
    leg: Option<u32>,
    name: String,
    address: String,
}

impl Ladder {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            lanes: Vec::new(),
            last: 0.0,
            begun: false,
        }
    }

    /// The lines of what the trace holds, with a head where it is the first or who takes part has
    /// changed.
    pub(super) fn draw(&mut self, trace: &TraceJson) -> String {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            let call = trace.call_id.as_deref().unwrap_or("no call");
            let ids = trace.sip_call_ids.join(", ");
            self.line(&mut text, &format!("{call}, from {}", trace.started_at));
            self.line(&mut text, &format!("SIP Call-IDs: {ids}"));
        }
        let lanes = lanes(trace);
        if lanes != self.lanes && (lanes.len() > self.lanes.len() || self.lanes.is_empty()) {
            self.lanes = lanes;
            self.head(&mut text);
        }
        for entry in &trace.entries {
            self.entry(&mut text, entry);
        }
        if trace.left_out > 0 && !trace.entries.is_empty() {
            let note = format!("({} entries in the middle were left out)", trace.left_out);
            self.line(&mut text, &note);
        }
        text
    }

    fn head(&self, text: &mut String) {
        if self.is_list() {
            for lane in self.lanes.iter().filter(|lane| lane.leg.is_some()) {
                self.line(text, &format!("{} is {}", lane.name, lane.address));
            }
            return;
        }
        for (label, of) in [("     time     since ", 0), ("                    ", 1)] {
            let mut row = Row::blank(self.room());
            for (at, lane) in self.lanes.iter().enumerate() {
                let name = if of == 0 { &lane.name } else { &lane.address };
                let width = name.chars().count();
                let from = self.x(at).saturating_sub(width / 2);
                let room = self.room().saturating_sub(width);
                row.write(
                    from.min(room),
                    name,
                    self.gap().saturating_sub(1).max(width.min(12)),
                );
            }
            self.line(text, &format!("{label}{}", row.text()));
        }
    }

    fn entry(&mut self, text: &mut String, entry: &TraceEntryJson) {
        let time = format!(
            "{:>9.3} {:>+9.3} ",
            entry.since_secs,
            entry.since_secs - self.last
        );
        self.last = entry.since_secs;
        let paint = self.paint(entry);
        let row = match (&entry.message, self.is_list()) {
            (Some(message), true) => {
                let arrow = if message.sent { "->" } else { "<-" };
                format!("{arrow} {} {}", self.name_of(entry.leg), entry.text)
            }
            (None, true) => match entry.leg {
                Some(_) => format!("   {}: {}", self.name_of(entry.leg), entry.text),
                None => format!("   {}", entry.text),
            },
            (Some(message), false) => self.arrow(entry, message),
            (None, false) => self.mark(entry),
        };
        self.painted(text, &format!("{time}{row}"), paint);
        if let Some(message) = &entry.message {
            self.beneath(text, entry, message);
        }
    }

    /// The sound that a message wants, and all of it where that is asked for.
    fn beneath(&self, text: &mut String, entry: &TraceEntryJson, message: &TraceMessageJson) {
        if let Some(sdp) = &message.sdp {
            let row = if self.is_list() {
                format!("      {sdp}")
            } else {
                let (left, right) = self.ends(entry.leg);
                let mut row = self.bars();
                row.write(left + 3, sdp, right.saturating_sub(left + 4));
                row.text()
            };
            self.line(text, &format!("{TIME_BLANK}{row}"));
        }
        if self.look.full {
            let what = format!(
                "{} {} {}",
                message.transport,
                if message.sent { "to" } else { "from" },
                message.remote
            );
            text.push_str(&format!("    {what}\n"));
            for line in message.full.lines() {
                let clean = line.chars().map(|c| if c.is_control() { '·' } else { c });
                text.push_str("    ");
                text.extend(clean);
                text.push('\n');
            }
        }
    }

    fn arrow(&self, entry: &TraceEntryJson, message: &TraceMessageJson) -> String {
        let (left, right) = self.ends(entry.leg);
        let to_right = message.sent == (self.lane_of(entry.leg) > self.tandem());
        let mut row = self.bars();
        for x in left + 1..right {
            row.put(x, '─');
        }
        if to_right {
            row.put(right - 1, '►');
        } else {
            row.put(left + 1, '◄');
        }
        row.write(left + 3, &entry.text, right.saturating_sub(left + 5));
        row.text()
    }

    fn mark(&self, entry: &TraceEntryJson) -> String {
        let at = match entry.leg {
            Some(_) => self.lane_of(entry.leg),
            None => self.tandem(),
        };
        let x = self.x(at);
        let mut row = self.bars();
        row.put(x, if entry.leg.is_some() { '○' } else { '●' });
        let width = entry.text.chars().count();
        let room = self.room().saturating_sub(x + 2);
        if width <= room || x < room {
            row.write(x + 2, &entry.text, room);
        } else {
            let from = x.saturating_sub(width + 1).max(1);
            row.write(from, &entry.text, x.saturating_sub(from + 1));
        }
        row.text()
    }

    /// Every lane's line.
    fn bars(&self) -> Row {
        let mut row = Row::blank(self.room());
        for at in 0..self.lanes.len() {
            row.put(self.x(at), '│');
        }
        row
    }

    /// The columns between which a leg's messages go.
    fn ends(&self, leg: Option<u32>) -> (usize, usize) {
        let (a, b) = (self.x(self.lane_of(leg)), self.x(self.tandem()));
        (a.min(b), a.max(b))
    }

    fn x(&self, lane: usize) -> usize {
        2 + lane * self.gap()
    }

    fn gap(&self) -> usize {
        let gaps = self.lanes.len().saturating_sub(1).max(1);
        (self.room().saturating_sub(14) / gaps).min(GAP_MAX)
    }

    /// Too little room for lanes: one line an entry, then.
    fn is_list(&self) -> bool {
        self.gap() < GAP_MIN
    }

    /// Columns right of the time.
    fn room(&self) -> usize {
        self.look.width.saturating_sub(TIME_BLANK.len())
    }

    fn tandem(&self) -> usize {
        let tandem = self.lanes.iter().position(|lane| lane.leg.is_none());
        tandem.unwrap_or(1)
    }

    /// A leg that is not known is the caller's: what was refused has no other.
    fn lane_of(&self, leg: Option<u32>) -> usize {
        let leg = Some(leg.unwrap_or(0));
        self.lanes
            .iter()
            .position(|lane| lane.leg == leg)
            .unwrap_or(0)
    }

    fn name_of(&self, leg: Option<u32>) -> &str {
        let lane = self.lanes.get(self.lane_of(leg));
        lane.map_or("?", |lane| &lane.name)
    }

    /// An ANSI colour, or none.
    fn paint(&self, entry: &TraceEntryJson) -> &'static str {
        let status = entry.text.as_bytes().first();
        match (entry.kind.as_str(), status) {
            _ if !self.look.colour => "",
            ("message", Some(b'1')) => "\x1b[2m",
            ("message", Some(b'2')) => "\x1b[32m",
            ("message", Some(b'3'..=b'6')) => "\x1b[31m",
            ("message", _) => "\x1b[1m",
            ("step", _) => "\x1b[36m",
            _ => "\x1b[33m",
        }
    }

    fn line(&self, text: &mut String, line: &str) {
        self.painted(text, line, "");
    }

    fn painted(&self, text: &mut String, line: &str, paint: &str) {
        let clean = line.chars().map(|c| if c.is_control() { '·' } else { c });
        let line: String = clean.take(self.look.width).collect();
        let line = line.trim_end();
        if paint.is_empty() {
            text.push_str(line);
        } else {
            text.push_str(&format!("{paint}{line}\x1b[0m"));
        }
        text.push('\n');
    }
}

/// The caller, Tandem, and the others as they came.
fn lanes(trace: &TraceJson) -> Vec<Lane> {
    let tandem = Lane {
        leg: None,
        name: "tandem".to_owned(),
        address: String::new(),
    };
    let parties = trace.parties.iter().map(|party| Lane {
        leg: Some(party.leg),
        name: party.name.clone(),
        address: party.address.clone(),
    });
    let mut lanes: Vec<Lane> = parties.collect();
    if lanes.is_empty() {
        let messages = trace.entries.iter().filter_map(|it| it.message.as_ref());
        let remote = messages.map(|message| message.remote.clone()).next();
        lanes.push(Lane {
            leg: Some(0),
            name: "sender".to_owned(),
            address: remote.unwrap_or_default(),
        });
    }
    lanes.insert(1, tandem);
    lanes
}

/// One line's columns.
struct Row(Vec<char>);

impl Row {
    fn blank(width: usize) -> Self {
        Self(vec![' '; width])
    }

    fn put(&mut self, x: usize, what: char) {
        if let Some(place) = self.0.get_mut(x) {
            *place = what;
        }
    }

    /// At most `room` columns of `text`, the last a mark where it was cut.
    fn write(&mut self, x: usize, text: &str, room: usize) {
        let cut = text.chars().count() > room;
        for (at, c) in text.chars().take(room).enumerate() {
            self.put(x + at, if cut && at + 1 == room { '…' } else { c });
        }
    }

    fn text(&self) -> String {
        self.0.iter().collect()
    }
}

/// As wide as a time and its distance from the last.
const TIME_BLANK: &str = "                    ";

/// Columns between two lanes.
const GAP_MAX: usize = 46;
const GAP_MIN: usize = 18;

#[cfg(test)]
mod tests {
    use super::{Ladder, Look};
    use crate::api::{TraceEntryJson, TraceJson, TraceMessageJson, TracePartyJson};

    fn entry(
        n: u32,
        kind: &str,
        leg: Option<u32>,
        text: &str,
        sent: Option<bool>,
    ) -> TraceEntryJson {
        let message = sent.map(|sent| TraceMessageJson {
            sent,
            transport: "UDP".to_owned(),
            local: "127.0.0.1:5060".to_owned(),
            remote: "127.0.0.2:5060".to_owned(),
            cseq: "1 INVITE".to_owned(),
            sdp: text
                .contains("INVITE")
                .then(|| "PCMA 127.0.0.2:4000 sendrecv".to_owned()),
            full: "INVITE\r\nX: \x1b[2Jevil\r\n".to_owned(),
        });
        TraceEntryJson {
            number: n,
            at: String::new(),
            since_secs: f64::from(n) / 1e3,
            kind: kind.to_owned(),
            leg,
            text: text.to_owned(),
            message,
        }
    }

    fn trace() -> TraceJson {
        let party = |leg, name: &str| TracePartyJson {
            leg,
            name: name.to_owned(),
            address: format!("127.0.0.{}:5060", leg + 2),
            sip_call_id: String::new(),
        };
        TraceJson {
            call_id: Some("c1".to_owned()),
            sip_call_ids: vec!["one".to_owned(), "two".to_owned()],
            started_at: "2026-11-20T10:00:00.000000Z".to_owned(),
            ended: true,
            parties: vec![party(0, "carrier"), party(1, "alice")],
            entries: vec![
                entry(0, "message", Some(0), "INVITE sip:100@h", Some(false)),
                entry(2, "step", None, "step main/answer", None),
                entry(5, "message", Some(1), "INVITE sip:alice@h", Some(true)),
                entry(
                    9,
                    "media",
                    Some(1),
                    "first RTP in from 127.0.0.3:4000",
                    None,
                ),
            ],
            left_out: 0,
            packets: 0,
            packets_left_out: 0,
        }
    }

    fn draw(width: usize, full: bool) -> String {
        let look = Look {
            width,
            colour: false,
            full,
        };
        Ladder::new(look).draw(&trace())
    }

    #[test]
    fn messages_steps_and_sound_stand_on_one_axis_between_their_parties() {
        let expected = "\
c1, from 2026-11-20T10:00:00.000000Z
SIP Call-IDs: one, two
     time     since carrier                        tandem                           alice
                    127.0.0.2:5060                                             127.0.0.3:5060
    0.000    +0.000   │──INVITE sip:100@h────────────►│                               │
                      │  PCMA 127.0.0.2:4000 sendrecv │                               │
    0.002    +0.002   │                               ● step main/answer              │
    0.005    +0.003   │                               │──INVITE sip:alice@h──────────►│
                      │                               │  PCMA 127.0.0.2:4000 sendrecv │
    0.009    +0.004   │                              first RTP in from 127.0.0.3:4000 ○
";
        let drawn = draw(98, false);
        assert_eq!(drawn, expected, "\n{drawn}");
        assert!(!drawn.contains('\x1b'));
    }

    #[test]
    fn a_narrow_terminal_gets_a_list_and_no_line_is_wider() {
        let drawn = draw(50, false);
        assert!(drawn.contains("<- carrier INVITE sip:100@h"), "{drawn}");
        assert!(drawn.contains("-> alice INVITE sip:alice@h"), "{drawn}");
        assert!(
            drawn.lines().all(|line| line.chars().count() <= 50),
            "{drawn}"
        );
    }

    #[test]
    fn a_message_is_shown_whole_where_asked_and_cannot_speak_to_the_terminal() {
        let drawn = draw(100, true);
        assert!(drawn.contains("    UDP from 127.0.0.2:5060"), "{drawn}");
        assert!(drawn.contains("    X: ·[2Jevil"), "{drawn}");
        assert!(!drawn.contains('\x1b'));
    }
}
