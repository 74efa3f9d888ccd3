//! The page: rates, trunks and media threads, queues and agents, and the calls, the oldest first.

use clock::Now;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, StatefulWidget, Table, TableState, Widget};
use serde_json::Value;

use super::super::Failure;
use super::board::Board;

/// What is shown.
pub(super) enum Page {
    Board,
    /// A ladder, and its first line that is shown.
    Trace(Vec<String>, usize),
}

/// The page and what it is made of.
pub(super) struct View {
    pub(super) page: Page,
    now: Board,
    before: Option<Board>,
    trouble: Option<String>,
    /// When the server was last asked.
    asked: Now,
    table: TableState,
}

impl View {
    pub(super) fn new(first: Board) -> Self {
        Self {
            page: Page::Board,
            asked: first.at,
            now: first,
            before: None,
            trouble: None,
            table: TableState::default().with_selected(Some(0)),
        }
    }

    /// When the server was last asked.
    pub(super) fn at(&self) -> Now {
        self.asked
    }

    /// Takes a new look, or why there is none.
    pub(super) fn take(&mut self, read: Result<Board, Failure>, at: Now) {
        self.asked = at;
        match read {
            Ok(board) => {
                self.before = Some(std::mem::replace(&mut self.now, board));
                self.trouble = None;
            }
            Err(failure) => self.trouble = Some(failure.to_string()),
        }
    }

    /// Another call, or another line of the ladder.
    pub(super) fn go(&mut self, by: i32) {
        let step = |from: usize, last: usize| {
            let to = i64::try_from(from).unwrap_or(0) + i64::from(by);
            usize::try_from(to).unwrap_or(0).min(last)
        };
        match &mut self.page {
            Page::Board => {
                let last = self.now.calls.len().saturating_sub(1);
                let from = self.table.selected().unwrap_or(0);
                self.table.select(Some(step(from, last)));
            }
            Page::Trace(lines, first) => *first = step(*first, lines.len().saturating_sub(1)),
        }
    }

    /// The chosen call.
    pub(super) fn chosen(&self) -> Option<String> {
        let call = self.now.calls.get(self.table.selected()?)?;
        Some(call.call_id.clone())
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [page, keys] =
            Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
        let buffer = frame.buffer_mut();
        let help = match &self.page {
            Page::Trace(lines, first) => {
                let shown = lines.iter().skip(*first).map(|it| Line::raw(it.as_str()));
                Paragraph::new(shown.collect::<Vec<_>>()).render(page, buffer);
                "q back   arrows move"
            }
            Page::Board => {
                let before = self.before.as_ref().unwrap_or(&self.now);
                board(&self.now, before, page, buffer, &mut self.table);
                "q quit   arrows choose a call   enter its trace"
            }
        };
        let help = self.trouble.as_deref().unwrap_or(help);
        let style = Style::new().add_modifier(Modifier::REVERSED);
        Paragraph::new(help).style(style).render(keys, buffer);
    }
}

/// The page as plain text, as high as it must be.
pub(super) fn plain(now: &Board, before: &Board, width: u16) -> String {
    let calls = u16::try_from(now.calls.len()).unwrap_or(u16::MAX);
    let height = heights(now)
        .iter()
        .sum::<u16>()
        .saturating_add(calls.min(1_000) + 2);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    board(now, before, area, &mut buffer, &mut TableState::default());
    let mut text = String::new();
    for y in 0..height {
        let cells = (0..width).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Of the head, of trunks and media threads, and of queues and agents.
fn heights(board: &Board) -> [u16; 3] {
    let rows = |count: usize| u16::try_from(count.min(ROWS_MAX)).unwrap_or(0) + 2;
    let trunks = board.by("tandem_trunk_calls", "trunk").len();
    let workers = board.by("tandem_media_ticks_total", "worker").len();
    [
        3,
        rows(trunks.max(workers)),
        rows(board.queues.len().max(board.agents.len())),
    ]
}

fn board(now: &Board, before: &Board, area: Rect, buffer: &mut Buffer, chosen: &mut TableState) {
    let [head, machines, people] = heights(now).map(Constraint::Length);
    let rows = [head, machines, people, Constraint::Min(1)];
    let [head, machines, people, calls] = Layout::vertical(rows).areas(area);
    Paragraph::new(rates(now, before)).render(head, buffer);
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [left, right] = Layout::horizontal(halves).areas(machines);
    Widget::render(trunks(now), left, buffer);
    Widget::render(workers(now, before), right, buffer);
    let [left, right] = Layout::horizontal(halves).areas(people);
    Widget::render(queues(now), left, buffer);
    Widget::render(agents(now), right, buffer);
    StatefulWidget::render(table_of_calls(now), calls, buffer, chosen);
}

fn rates(now: &Board, before: &Board) -> Vec<Line<'static>> {
    let (active, ended) = ("tandem_calls_active", "tandem_calls_ended_total");
    let begun = now.rate(before, |it| it.sum(active) + it.sum(ended));
    let refused = now.rate(before, |it| it.sum("tandem_sip_rejected_total"));
    let over = now.rate(before, |it| it.sum(ended));
    let cpu = now.rate(before, |it| it.sum("tandem_cpu_seconds")) * 100.0;
    let draining = match now.sum("tandem_draining") > 0.0 {
        true => "   draining: no new calls",
        false => "",
    };
    vec![
        Line::raw(format!(
            "calls {:.0}   begun {begun:.1}/s   ended {over:.1}/s   refused {refused:.1}/s   \
             waiting {:.0}{draining}",
            now.sum(active),
            now.sum("tandem_queue_waiting"),
        )),
        Line::raw(format!(
            "cpu {cpu:.0} %   media ports {:.0}   registrations {:.0}   SIP transactions {:.0}   \
             open files {:.0}",
            now.sum("tandem_media_ports"),
            now.sum("tandem_registrations"),
            now.sum("tandem_sip_transactions"),
            now.sum("tandem_open_files"),
        )),
    ]
}

fn trunks(now: &Board) -> Table<'static> {
    let caps = now.by("tandem_trunk_calls_max", "trunk");
    let trunks = now.by("tandem_trunk_calls", "trunk");
    let rows = trunks.into_iter().take(ROWS_MAX).map(|(name, calls)| {
        let cap = caps.get(&name);
        let cap = cap.map_or("-".to_owned(), |cap| format!("{cap:.0}"));
        Row::new([name, format!("{calls:.0}"), cap])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(7),
    ];
    head(Table::new(rows, widths), ["TRUNK", "CALLS", "MAX"])
}

fn workers(now: &Board, before: &Board) -> Table<'static> {
    let label = |name: &str| now.by(name, "worker");
    let late = label("tandem_media_ticks_late_total");
    let lost = label("tandem_media_ticks_left_out_total");
    let rows = label("tandem_media_ticks_total").into_keys().take(ROWS_MAX);
    let rows = rows.map(|worker| {
        let of = |map: &std::collections::BTreeMap<String, f64>| {
            format!("{:.0}", map.get(&worker).copied().unwrap_or(0.0))
        };
        let rate = |name: &str| {
            now.rate(before, |board| {
                let series = board.by(name, "worker");
                series.get(&worker).copied().unwrap_or(0.0)
            })
        };
        let packets = rate("tandem_media_packets_received_total");
        let cpu = rate("tandem_media_cpu_seconds") * 100.0;
        Row::new([
            format!("media {worker}"),
            format!("{packets:.0}"),
            of(&late),
            of(&lost),
            format!("{cpu:.0} %"),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(6),
    ];
    let names = ["THREAD", "PACKETS/s", "LATE", "LEFT OUT", "CPU"];
    head(Table::new(rows, widths), names)
}

fn queues(now: &Board) -> Table<'static> {
    let rows = now.queues.iter().take(ROWS_MAX).map(|queue| {
        let waiting = queue["waiting"].as_array().map_or(0, Vec::len);
        let free = queue["agents"]["available"].as_u64().unwrap_or(0);
        Row::new([
            text(&queue["name"]),
            waiting.to_string(),
            span(queue["longest_wait_secs"].as_f64()),
            free.to_string(),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(6),
    ];
    head(
        Table::new(rows, widths),
        ["QUEUE", "WAITING", "LONGEST", "FREE"],
    )
}

fn agents(now: &Board) -> Table<'static> {
    let rows = now.agents.iter().take(ROWS_MAX).map(|agent| {
        let state = match agent["reachable"].as_bool() {
            Some(false) => "unreachable".to_owned(),
            _ => text(&agent["state"]),
        };
        Row::new([
            text(&agent["name"]),
            state,
            span(agent["state_secs"].as_f64()),
            text(&agent["call_id"]),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(17),
    ];
    head(Table::new(rows, widths), ["AGENT", "STATE", "FOR", "CALL"])
}

fn table_of_calls(now: &Board) -> Table<'static> {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = now.calls.iter().map(|call| {
        Row::new([
            call.call_id.clone(),
            call.state.clone(),
            span(Some(call.age_secs)),
            call.from.clone(),
            call.to.clone(),
            dash(&call.queue),
            dash(&call.agent),
            dash(&call.step),
        ])
    });
    let widths = [
        Constraint::Length(17),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Fill(2),
    ];
    let names = [
        "CALL", "STATE", "AGE", "FROM", "TO", "QUEUE", "AGENT", "STEP",
    ];
    head(Table::new(rows, widths), names)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
}

fn head<const N: usize>(table: Table<'static>, names: [&'static str; N]) -> Table<'static> {
    let style = Style::new().add_modifier(Modifier::BOLD);
    table.header(Row::new(names).style(style))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// `42s`, `3m07s`, `2h05m`.
fn span(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else {
        return "-".to_owned();
    };
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3_600, whole / 60 % 60),
    }
}

/// Rows of a small table.
const ROWS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use clock::Now;

    use super::{Board, Page, View, plain, span};

    fn boards() -> (Board, Board) {
        let call = |n: u32| {
            format!(
                "{{\"call_id\":\"c{n:016}\",\"direction\":\"inbound\",\"from\":\"+331\",\"to\":\"100\",\
                 \"trunk\":\"acme\",\"state\":\"queued\",\"started_at\":\"\",\"answered_at\":null,\
                 \"age_secs\":187.4,\"queue\":\"sales\",\"agent\":null,\"step\":\"main/queue\"}}"
            )
        };
        let calls = format!("[{},{}]", call(1), call(2));
        let queues = "[{\"name\":\"sales\",\"waiting\":[{},{}],\"longest_wait_secs\":61.0,\
                      \"agents\":{\"available\":1}}]";
        let agents = "[{\"name\":\"anna\",\"state\":\"busy\",\"state_secs\":5.0,\"reachable\":true,\
                      \"call_id\":null}]";
        let text = |ended: u32, cpu: f64| {
            format!(
                "# HELP x\ntandem_calls_active 2\ntandem_calls_ended_total {ended}\n\
                 tandem_cpu_seconds {cpu}\ntandem_trunk_calls{{trunk=\"acme\"}} 2\n\
                 tandem_trunk_calls_max{{trunk=\"acme\"}} 30\n\
                 tandem_media_ticks_total{{worker=\"0\"}} 5\n\
                 tandem_media_ticks_late_total{{worker=\"0\"}} 3\n\
                 tandem_media_packets_received_total{{worker=\"0\"}} {}\n",
                ended * 100
            )
        };
        let at = |secs: u64| Now::from_nanos(secs * 1_000_000_000);
        (
            Board::of(at(1), &calls, queues, agents, &text(10, 1.0)),
            Board::of(at(3), &calls, queues, agents, &text(14, 1.5)),
        )
    }

    #[test]
    fn a_page_shows_rates_trunks_threads_queues_agents_and_calls() {
        let (before, now) = boards();
        let page = plain(&now, &before, 120);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = page.lines().map(words).collect();
        for want in [
            "calls 2 begun 2.0/s ended 2.0/s refused 0.0/s waiting 0",
            "cpu 25 % media ports 0 registrations 0 SIP transactions 0 open files 0",
            "acme 2 30 media 0 200 3 0 0 %",
            "sales 2 1m01s 1 anna busy 5s -",
            "c0000000000000002 queued 3m07s +331 100 sales - main/queue",
        ] {
            assert!(lines.iter().any(|line| line == want), "{want}\n{page}");
        }
        assert!(!page.contains('\x1b'));
    }

    #[test]
    fn the_choice_stays_within_the_calls_and_a_trace_within_its_lines() {
        let (_, now) = boards();
        let mut view = View::new(now);
        view.go(-1);
        assert_eq!(view.chosen().as_deref(), Some("c0000000000000001"));
        view.go(10);
        assert_eq!(view.chosen().as_deref(), Some("c0000000000000002"));
        view.page = Page::Trace(vec![String::new(); 5], 0);
        view.go(99);
        assert!(matches!(view.page, Page::Trace(_, 4)));
    }

    #[test]
    fn spans_are_short() {
        let texts = [Some(-1.0), Some(59.9), Some(187.0), Some(7_500.0), None].map(span);
        assert_eq!(texts, ["0s", "59s", "3m07s", "2h05m", "-"]);
    }
}
