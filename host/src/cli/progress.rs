//! Shows how far transfers are, where someone looks.

use std::collections::HashMap;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use selvedge_registry::Progress;

use crate::names::Digest;

/// Digits of a digest that tell two apart for a reader.
const DIGITS_SHOWN: usize = 12;

/// A bar for each blob on standard error, if that is a terminal.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            bars: Mutex::default(),
        }
    }
}

impl Progress for Bars {
    fn begin(&self, digest: &Digest, size: u64, done: u64) {
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
        let style = ProgressStyle::with_template(template).expect("this is a template");
        let bar = self.all.add(ProgressBar::new(size).with_style(style));
        let digits: String = digest.hex().chars().take(DIGITS_SHOWN).collect();
        bar.set_message(digits);
        bar.set_position(done);
        self.bars.lock().insert(*digest, bar);
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        if let Some(bar) = self.bars.lock().get(digest) {
            bar.inc(bytes);
        }
    }

    fn finish(&self, digest: &Digest) {
        if let Some(bar) = self.bars.lock().remove(digest) {
            bar.finish();
        }
    }
}
