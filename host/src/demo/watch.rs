//! Follows a run on the bus: shows it, and judges it.
//!
//! The clock starts when every machine has been read once; so do the machines'
//! faults. Nothing here can hold the line up: the inbox drops its oldest.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveToPreviousLine, Show};
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cloud::{Arrivals, Cloud};
use super::device::Device;
use super::event::Event;
use super::scenario::{Judge, Summary};
use super::view::{View, summary_lines};
use super::{Director, Options};
use crate::bus::{Inbox, Message};

/// Topic filters to subscribe for [`watch`].
pub const WATCHED: [&str; 7] = [
    "telemetry/#",
    "score/#",
    "anomaly/#",
    "command/#",
    "notice/#",
    "audit/#",
    "$selvedge/#",
];

/// How long an anomaly may be on its way to the cloud when the time is over.
const CLOUD_MAX: Duration = Duration::from_secs(5);

/// How long the line may take until every machine has been read.
const READY_MAX: Duration = Duration::from_secs(30);

const FRAME: Duration = Duration::from_millis(200);
const BATCH_MAX: usize = 256;

/// Seconds between two telemetry or score events of a device in JSON.
const JSON_EVERY_S: f64 = 1.0;

/// Where a run is watched.
#[derive(Debug)]
pub struct Sources {
    /// The gateway's bus.
    pub bus: Inbox,
    /// What the gateway sends on.
    pub cloud: Cloud,
}

/// Watches until the run's duration is over, `stop` says so, or the line does
/// not get ready.
///
/// # Errors
/// `out` cannot be written.
pub async fn watch(
    sources: &mut Sources,
    director: &Director,
    options: &Options,
    stop: CancellationToken,
    out: &mut impl Write,
) -> io::Result<Summary> {
    let mut screen = Screen::new(options, out);
    let Sources { bus, cloud } = sources;
    let mut run = Run::new(director, Arrivals::new(cloud));
    let mut is_late = false;
    let mut end = Instant::now() + READY_MAX;
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let watched = loop {
        tokio::select! {
            // What arrived in the cloud has been on the bus before.
            biased;
            () = stop.cancelled() => break Ok(()),
            () = sleep_until(end), if run.armed.is_none() || options.duration.is_some() => {
                if is_late || !run.judge.is_owed() {
                    break Ok(());
                }
                is_late = true;
                end += CLOUD_MAX;
            }
            _ = frames.tick() => {
                if let Err(error) = screen.draw(&run.view, run.now()) {
                    break Err(error);
                }
            }
            () = bus.receive(BATCH_MAX, &mut batch) => {
                let armed = run.armed;
                if let Err(error) = run.take(&mut batch, &mut screen) {
                    break Err(error);
                }
                if let (None, Some(now), Some(duration)) = (armed, run.armed, options.duration) {
                    end = now + duration;
                }
            }
            arrived = run.arrivals.next() => {
                if let Err(error) = run.arrived(arrived, &mut screen) {
                    break Err(error);
                }
                if is_late && !run.judge.is_owed() {
                    break Ok(());
                }
            }
        }
    };
    // The cursor comes back even if showing failed.
    let summary = run.judge.summary(run.now());
    let finished = screen.finish(&run.view, &summary);
    watched.and(finished).map(|()| summary)
}

/// What is known so far.
struct Run<'a> {
    director: &'a Director,
    arrivals: Arrivals<'a>,
    judge: Judge,
    view: View,
    /// Machines not read yet.
    awaited: BTreeSet<Device>,
    armed: Option<Instant>,
}

impl<'a> Run<'a> {
    fn new(director: &'a Director, arrivals: Arrivals<'a>) -> Self {
        Self {
            director,
            arrivals,
            judge: Judge::new(director.plan()),
            view: View::default(),
            awaited: Device::ALL.into(),
            armed: None,
        }
    }

    /// Seconds since armed.
    fn now(&self) -> f64 {
        self.armed
            .map_or(0.0, |armed| armed.elapsed().as_secs_f64())
    }

    fn take<W: Write>(
        &mut self,
        batch: &mut Vec<Arc<Message>>,
        screen: &mut Screen<'_, W>,
    ) -> io::Result<()> {
        for message in batch.drain(..) {
            let event = Event::read(&message);
            self.arrivals.sent(message.topic.as_str(), event.as_ref());
            let Some(event) = event else {
                continue;
            };
            self.arm(&event);
            let at = self.now();
            let line = self.view.see(at, &event);
            screen.event(at, &event, line)?;
            if let Some(effect) = self.judge.see(at, &event) {
                let line = self.view.tell(at, &effect);
                screen.effect(at, &effect, &line)?;
            }
        }
        Ok(())
    }

    /// Takes in what arrived in the cloud.
    fn arrived<W: Write>(
        &mut self,
        events: Vec<Event>,
        screen: &mut Screen<'_, W>,
    ) -> io::Result<()> {
        let at = self.now();
        for mut event in events {
            if let Event::Cloud {
                device,
                state,
                after_s,
                ..
            } = &mut event
            {
                *after_s = self.judge.arrived(at, device, *state);
            }
            let line = self.view.see(at, &event);
            screen.event(at, &event, line)?;
        }
        Ok(())
    }

    /// Starts the clock once every machine has been read.
    fn arm(&mut self, event: &Event) {
        if let Event::Telemetry { device, readings } = event
            && !readings.is_empty()
            && let Some(device) = Device::named(device)
            && self.awaited.remove(&device)
            && self.awaited.is_empty()
        {
            self.armed = Some(Instant::now());
            self.director.arm();
        }
    }
}

/// Where and how it is shown.
struct Screen<'a, W> {
    out: &'a mut W,
    how: How,
    drawn: u16,
    /// When a device's readings were last printed as JSON.
    printed: std::collections::HashMap<(Device, bool), f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    InPlace,
    Lines,
    Json,
}

/// An event and its time, as JSON.
#[derive(Serialize)]
struct Timed<'a, T> {
    at_s: f64,
    #[serde(flatten)]
    event: &'a T,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Own<'a> {
    Effect { text: &'a str },
    Summary(&'a Summary),
}

impl<'a, W: Write> Screen<'a, W> {
    fn new(options: &Options, out: &'a mut W) -> Self {
        let how = match (options.json, options.terminal) {
            (true, _) => How::Json,
            (false, true) => How::InPlace,
            (false, false) => How::Lines,
        };
        Self {
            out,
            how,
            drawn: 0,
            printed: std::collections::HashMap::new(),
        }
    }

    fn event(&mut self, at: f64, event: &Event, line: Option<String>) -> io::Result<()> {
        match self.how {
            How::InPlace => Ok(()),
            How::Lines => line.map_or(Ok(()), |line| writeln!(self.out, "{line}")),
            How::Json => match self.is_due(at, event) {
                true => self.json(at, event),
                false => Ok(()),
            },
        }
    }

    /// Readings and scores are thinned out; all else is printed.
    fn is_due(&mut self, at: f64, event: &Event) -> bool {
        let (device, is_score) = match event {
            Event::Telemetry { device, .. } => (device, false),
            Event::Score { device, .. } => (device, true),
            _ => return true,
        };
        let Some(device) = Device::named(device) else {
            return false;
        };
        let last = self.printed.get(&(device, is_score));
        let due = last.is_none_or(|last| at >= last + JSON_EVERY_S);
        if due {
            self.printed.insert((device, is_score), at);
        }
        due
    }

    fn effect(&mut self, at: f64, text: &str, line: &str) -> io::Result<()> {
        match self.how {
            How::InPlace => Ok(()),
            How::Lines => writeln!(self.out, "{line}"),
            How::Json => self.json(at, &Own::Effect { text }),
        }
    }

    fn json<T: Serialize>(&mut self, at_s: f64, event: &T) -> io::Result<()> {
        let text = serde_json::to_string(&Timed { at_s, event })?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn draw(&mut self, view: &View, at: f64) -> io::Result<()> {
        if self.how != How::InPlace {
            return self.out.flush();
        }
        if self.drawn == 0 {
            queue!(self.out, Hide)?;
        } else {
            queue!(self.out, MoveToPreviousLine(self.drawn))?;
        }
        let lines = view.screen(at);
        for line in &lines {
            writeln!(self.out, "{line}{}", Clear(ClearType::UntilNewLine))?;
        }
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        self.out.flush()
    }

    fn finish(&mut self, view: &View, summary: &Summary) -> io::Result<()> {
        if self.how == How::Json {
            return self.json(summary.lasted_s, &Own::Summary(summary));
        }
        if self.how == How::InPlace {
            let drawn = self.draw(view, summary.lasted_s);
            queue!(self.out, Show)?;
            drawn?;
        }
        for line in summary_lines(summary) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
