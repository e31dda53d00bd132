//! `selvedge top`: the plugins at work, drawn anew each second.
//!
//! The screen is given back as it was, however this ends.

mod view;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cli::client::{Answer, Client};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::host_options::HostOptions;
use crate::cli::output::{OutputError, Paint};
use crate::cli::{Interrupts, wait};
use crate::error_chain::ErrorChain;
use view::View;

/// How often the host is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How long a key is waited for before it is looked whether to go on.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Columns and lines where a terminal does not say how large it is.
const USUAL_SIZE: (u16, u16) = (80, 24);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    if args.host.json {
        return wait(sample(&client));
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "this is no terminal: name `--json`, or use `selvedge ps`",
        ));
    }
    wait(watch(&client))
}

/// A sample a line, until interrupted.
async fn sample(client: &Client) -> Outcome {
    let mut interrupts = Interrupts::listen();
    let mut seconds = seconds(Instant::now());
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(ExitCode::SUCCESS),
            _ = seconds.tick() => {}
        }
        tokio::select! {
            () = interrupts.next() => return Ok(ExitCode::SUCCESS),
            answer = plugins(client) => answer?.print_line()?,
        }
    }
}

async fn plugins(client: &Client) -> Result<Answer, crate::cli::client::HostError> {
    client.get(client.url(&["plugins"], &[])).await
}

/// Each second from `first` on.
fn seconds(first: Instant) -> tokio::time::Interval {
    let mut seconds = interval_at(first, EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds
}

async fn watch(client: &Client) -> Outcome {
    let mut interrupts = Interrupts::listen();
    // A host that is not there is said where it stays to be read.
    let first = plugins(client).await?;
    let mut view = View::default();
    view.see(Instant::now(), &first.read::<Vec<_>>()?);
    let screen = Screen::enter()?;
    let keys = Keys::listen();
    let mut seconds = seconds(Instant::now() + EVERY);
    loop {
        screen.draw(&view)?;
        tokio::select! {
            () = interrupts.next() => break,
            () = keys.quit.notified() => break,
            () = keys.resized.notified() => {}
            () = async {
                seconds.tick().await;
                let seen = plugins(client).await.and_then(|answer| answer.read::<Vec<_>>());
                match seen {
                    Ok(plugins) => view.see(Instant::now(), &plugins),
                    Err(error) => view.lose(&ErrorChain(&error).to_string()),
                }
            } => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The terminal, while it is ours.
#[derive(Debug)]
struct Screen(());

impl Screen {
    fn enter() -> Outcome<Self> {
        enable_raw_mode().map_err(OutputError::from)?;
        let screen = Self(());
        let entered = execute!(std::io::stdout(), EnterAlternateScreen, Hide);
        entered.map_err(OutputError::from)?;
        Ok(screen)
    }

    fn draw(&self, view: &View) -> Outcome<()> {
        let (columns, rows) = size().unwrap_or(USUAL_SIZE);
        let lines = view.lines(
            columns.into(),
            rows.saturating_sub(1).into(),
            Paint::screen(),
        );
        self.put(&lines).map_err(OutputError::from)?;
        Ok(())
    }

    /// Each line is cleared as it is written: a cleared screen would flicker.
    fn put(&self, lines: &[String]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for (row, line) in (0..).zip(lines) {
            queue!(
                out,
                MoveTo(0, row),
                Clear(ClearType::CurrentLine),
                Print(line)
            )?;
        }
        // Below the last line, where there is anything below it.
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        queue!(out, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If even this fails there is no screen to give back.
        drop(execute!(std::io::stdout(), Show, LeaveAlternateScreen));
        drop(disable_raw_mode());
    }
}

/// What is typed. Read on a thread for work that blocks, which ends with this.
#[derive(Debug)]
struct Keys {
    quit: Arc<Notify>,
    resized: Arc<Notify>,
    done: Arc<AtomicBool>,
}

impl Keys {
    fn listen() -> Self {
        let keys = Self {
            quit: Arc::default(),
            resized: Arc::default(),
            done: Arc::default(),
        };
        let (quit, resized) = (Arc::clone(&keys.quit), Arc::clone(&keys.resized));
        let done = Arc::clone(&keys.done);
        drop(spawn_blocking(move || {
            while !done.load(Ordering::Relaxed) {
                match event::poll(KEY_WAIT).and_then(|some| some.then(event::read).transpose()) {
                    Ok(Some(event)) if asks_to_quit(&event) => quit.notify_one(),
                    Ok(Some(Event::Resize(..))) => resized.notify_one(),
                    Ok(_) => {}
                    // Whoever types has gone.
                    Err(_) => return quit.notify_one(),
                }
            }
        }));
        keys
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

fn asks_to_quit(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') => control,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    use super::asks_to_quit;

    #[test]
    fn the_usual_keys_quit_and_others_do_not() {
        for (code, modifiers, quits) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, true),
            (KeyCode::Esc, KeyModifiers::NONE, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), KeyModifiers::NONE, false),
            (KeyCode::Enter, KeyModifiers::NONE, false),
        ] {
            let event = Event::Key(KeyEvent::new(code, modifiers));
            assert_eq!(asks_to_quit(&event), quits, "{code:?}");
        }
        assert!(!asks_to_quit(&Event::Resize(80, 24)));
    }
}
