//! `tandem top`: what a running server does, each second, over its API.

mod board;
mod view;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Failure;
use super::ladder::{Ladder, Look};
use super::remote::{Remote, RemoteArgs, segment};
use crate::api::TraceJson;
use crate::io::clock::SystemClock;

use board::Board;
use view::{Page, View};

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Prints one page as plain text and ends; so it does where there is no terminal
    #[arg(long)]
    once: bool,
    /// Columns of that page
    #[arg(long, value_name = "COLUMNS", default_value_t = 120,
        value_parser = clap::value_parser!(u16).range(60..=400))]
    width: u16,
}

pub(super) fn run(args: &TopArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let remote = args.remote.remote()?;
    let clock = SystemClock::start();
    let first = Board::read(&remote, clock.now())?;
    if args.once || !std::io::stdout().is_terminal() {
        // Rates take two looks.
        super::trace::pause(SECOND);
        let second = Board::read(&remote, clock.now())?;
        let page = view::plain(&second, &first, args.width);
        return write!(out, "{page}").map_err(|error| Failure::Failed(error.into()));
    }
    let mut terminal = ratatui::try_init().map_err(|error| Failure::Failed(error.into()))?;
    let watched = watch(&mut terminal, &remote, clock, first);
    ratatui::restore();
    watched
}

/// Draws and obeys keys until somebody has seen enough.
fn watch(
    terminal: &mut DefaultTerminal,
    remote: &Remote,
    clock: SystemClock,
    first: Board,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(error.into());
    let mut view = View::new(first);
    loop {
        terminal.draw(|frame| view.draw(frame)).map_err(failed)?;
        let due = view.at() + SECOND;
        let left = due.since(clock.now());
        if event::poll(left).map_err(failed)? {
            let Event::Key(key) = event::read().map_err(failed)? else {
                continue;
            };
            match wanted(key, &view) {
                Some(Wanted::End) => return Ok(()),
                Some(Wanted::Back) => view.page = Page::Board,
                Some(Wanted::Move(by)) => view.go(by),
                Some(Wanted::Trace(call)) => {
                    let width = terminal.size().map_err(failed)?.width;
                    view.page = Page::Trace(trace(remote, &call, width), 0);
                }
                None => {}
            }
            continue;
        }
        // A server that is away for a moment is no reason to leave: the page says so.
        let read = Board::read(remote, clock.now());
        view.take(read, clock.now());
    }
}

enum Wanted {
    End,
    Back,
    Move(i32),
    Trace(String),
}

fn wanted(key: KeyEvent, view: &View) -> Option<Wanted> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let traced = matches!(view.page, Page::Trace(..));
    Some(match key.code {
        KeyCode::Char('c') if control => Wanted::End,
        KeyCode::Char('q') | KeyCode::Esc if traced => Wanted::Back,
        KeyCode::Char('q') | KeyCode::Esc => Wanted::End,
        KeyCode::Up | KeyCode::Char('k') => Wanted::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Wanted::Move(1),
        KeyCode::PageUp => Wanted::Move(-10),
        KeyCode::PageDown => Wanted::Move(10),
        KeyCode::Enter if !traced => Wanted::Trace(view.chosen()?),
        _ => return None,
    })
}

/// The ladder of a call, or why there is none.
fn trace(remote: &Remote, call: &str, width: u16) -> Vec<String> {
    let look = Look {
        width: width.saturating_sub(2).into(),
        colour: false,
        full: false,
    };
    let read = || -> Result<TraceJson, Failure> {
        let body = remote.get(&format!("/v1/calls/{}/trace", segment(call)))?;
        serde_json::from_str(&body).map_err(|error| Failure::Failed(error.into()))
    };
    match read() {
        Ok(trace) => {
            let drawn = Ladder::new(look).draw(&trace);
            drawn.lines().map(str::to_owned).collect()
        }
        Err(failure) => vec![failure.to_string()],
    }
}

const SECOND: Duration = Duration::from_secs(1);
