//! The gateway's shadow: what is reported, and what is desired.
//!
//! A machine without clock and connection of its own: it is told what arrives and
//! what is so here, and says what to send. It goes by the version: what it sends
//! is the difference to a version that it has seen, and refused if that is not the
//! newest any more; then it asks again. A delta is only a hint to ask: so no storm
//! of them, and none that is late, does anything by itself.
//!
//! What becomes of what is desired is decided by [`super::desired`].

pub mod patch;
pub mod report;
pub mod service;
pub mod wire;

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::{debug, warn};

use self::report::{Cut, Report};
use self::wire::{Accepted, Delta, Get, Kind, Rejected, Reported, Topics, Update};
use super::asking::{ANSWER_MAX, Pause, Question, Sent, Tokens, plain, read};

/// What of the desired state is looked at.
const DESIRED: &str = "deployment";
/// The topmost keys that are reported here; others in the shadow are not touched.
const OWN: [&str; 11] = [
    "host",
    "deployment",
    "under_way",
    "desired",
    "plugins",
    "models",
    "health",
    "disk",
    "cut",
    "plugins_total",
    "models_total",
];

/// How fast it may go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a change waits for further ones.
    pub debounce: Duration,
    /// Between two reports, and between two questions that deltas lead to.
    pub interval: Duration,
    /// Bytes of what is reported.
    pub bytes_max: usize,
}

/// The shadow, as far as it is known.
#[derive(Debug)]
pub struct Shadow {
    topics: Topics,
    pace: Pace,
    tokens: Tokens,
    connected: bool,
    question: Option<Question<About>>,
    pause: Pause,
    /// What the cloud has, if that is certain.
    known: Option<Known>,
    /// What is so here, and since when that is to be told.
    local: Option<(Report, Instant)>,
    cut: Cut,
    /// When it last asked, and last reported.
    asked: Option<Instant>,
    told: Option<Instant>,
    /// What is desired, until it is taken.
    desired: Option<Option<Value>>,
    /// The newest version that others made while a question was under way; 0 if none.
    seen: u64,
    deltas_total: u64,
}

#[derive(Debug)]
enum About {
    Get,
    Update(Map<String, Value>),
}

#[derive(Debug)]
struct Known {
    /// 0 if there is none yet.
    version: u64,
    /// What it reports of [`OWN`].
    reported: Map<String, Value>,
}

impl Shadow {
    pub fn new(topics: Topics, pace: Pace) -> Self {
        Self {
            topics,
            pace,
            tokens: Tokens::default(),
            connected: false,
            question: None,
            pause: Pause::default(),
            known: None,
            local: None,
            cut: Cut::Nothing,
            asked: None,
            told: None,
            desired: None,
            seen: 0,
            deltas_total: 0,
        }
    }

    /// The connection came or went. Whatever was known may have changed meanwhile.
    pub fn connected(&mut self, connected: bool) {
        self.connected = connected;
        self.question = None;
        self.known = None;
        self.cut = Cut::Nothing;
        self.asked = None;
        self.told = None;
        self.pause.succeed();
    }

    /// What is so here now.
    pub fn report(&mut self, report: Report, now: Instant) {
        // The first change of several counts, so that it is told in the end.
        let told = self.patch().is_none_or(|patch| patch.is_empty());
        match &mut self.local {
            Some((had, _)) if *had == report => {}
            Some((_, since)) if !told => self.local = Some((report, *since)),
            _ => self.local = Some((report, now)),
        }
    }

    /// What is desired, each time that it was asked for: none if nothing is.
    pub fn take_desired(&mut self) -> Option<Option<Value>> {
        self.desired.take()
    }

    /// What to send now, if anything.
    pub fn poll(&mut self, now: Instant) -> Option<Sent> {
        if self.question.as_ref().is_some_and(|it| it.due <= now) {
            self.question = None;
            // Whether it was taken is not known.
            self.known = None;
            self.pause.fail(now);
            debug!("shadow: no answer");
        }
        if self.due(now)? > now {
            return None;
        }
        if self.known.is_none() {
            return Some(self.ask(About::Get, now));
        }
        let patch = self.patch()?;
        Some(self.ask(About::Update(patch), now))
    }

    /// When [`poll`](Self::poll) has something to do next, if ever.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        if let Some(question) = &self.question {
            return Some(question.due);
        }
        let mut due = self.pause.until(now).unwrap_or(now);
        let last = if self.known.is_some() {
            self.told
        } else {
            self.asked
        };
        if let Some(last) = last {
            due = due.max(last + self.pace.interval);
        }
        if self.known.is_some() {
            let (_, since) = self.local.as_ref()?;
            if self.patch()?.is_empty() {
                return None;
            }
            due = due.max(*since + self.pace.debounce);
        }
        Some(due)
    }

    /// Something arrived on one of its topics.
    pub fn arrived(&mut self, kind: Kind, payload: &[u8], now: Instant) {
        match kind {
            Kind::GetAccepted => self.got(payload),
            Kind::UpdateAccepted => self.updated(payload),
            Kind::GetRejected | Kind::UpdateRejected => self.refused(kind, payload, now),
            Kind::Delta => self.differs(payload),
        }
    }

    fn got(&mut self, payload: &[u8]) {
        let Some(accepted) = read::<Accepted>(payload) else {
            return;
        };
        if !self.is_ours(accepted.client_token.as_deref(), |about| {
            matches!(about, About::Get)
        }) {
            return;
        }
        self.question = None;
        self.pause.succeed();
        let mut reported = accepted.state.reported.unwrap_or_default();
        reported.retain(|key, _| OWN.contains(&key.as_str()));
        let version = accepted.version;
        self.know(Known { version, reported }, version);
        let mut desired = accepted.state.desired.unwrap_or_default();
        self.desired = Some(desired.remove(DESIRED).filter(|desired| !desired.is_null()));
    }

    fn updated(&mut self, payload: &[u8]) {
        let Some(accepted) = read::<Accepted>(payload) else {
            return;
        };
        let is_ours = self.is_ours(accepted.client_token.as_deref(), |about| {
            matches!(about, About::Update(_))
        });
        if is_ours && let Some(question) = self.question.take() {
            self.pause.succeed();
            let version = accepted.version;
            if let About::Update(reported) = question.about {
                // What was sent is what it now has. Sent to no version, it may have come
                // after what others sent.
                let had = self.known.as_ref().map_or(0, |known| known.version);
                let latest = if had == 0 { 0 } else { version };
                self.know(Known { version, reported }, latest);
            }
        } else {
            // Somebody else changed it.
            self.changed(accepted.version);
        }
    }

    fn differs(&mut self, payload: &[u8]) {
        let Some(delta) = read::<Delta>(payload) else {
            return;
        };
        self.deltas_total = self.deltas_total.saturating_add(1);
        if delta.state.contains_key(DESIRED) {
            self.changed(delta.version);
        }
    }

    /// The cloud has this, unless others made a version after `latest` meanwhile.
    fn know(&mut self, known: Known, latest: u64) {
        self.known = (self.seen <= latest).then_some(known);
    }

    /// Others made this version: it is asked for, once the answer that is waited for
    /// is there.
    fn changed(&mut self, version: u64) {
        if self.question.is_some() {
            self.seen = self.seen.max(version);
        } else if self.is_news(version) {
            self.known = None;
        }
    }

    fn refused(&mut self, kind: Kind, payload: &[u8], now: Instant) {
        let Some(rejected) = read::<Rejected>(payload) else {
            return;
        };
        let of_get = kind == Kind::GetRejected;
        if !self.is_ours(rejected.client_token.as_deref(), |about| {
            matches!(about, About::Get) == of_get
        }) {
            return;
        }
        self.question = None;
        match (of_get, rejected.code) {
            // There is none yet.
            (true, 404) => {
                self.pause.succeed();
                let reported = Map::new();
                let version = 0;
                self.know(Known { version, reported }, version);
                self.desired = Some(None);
            }
            // It has another version: the difference is to be made anew.
            (false, 409) => self.known = None,
            (false, 413) if self.cut < Cut::All => {
                self.cut = self.cut.further();
                self.changed(self.seen);
                self.pause.fail(now);
            }
            (_, code) => {
                self.known = None;
                self.pause.fail(now);
                let error = plain(&rejected.message);
                warn!(code, error, "the shadow was refused");
            }
        }
    }

    /// Whether an answer is to the question under way.
    fn is_ours(&self, token: Option<&str>, fits: impl Fn(&About) -> bool) -> bool {
        let question = self.question.as_ref();
        question.is_some_and(|it| Some(it.token.as_str()) == token && fits(&it.about))
    }

    /// Whether this version is newer than what is known.
    fn is_news(&self, version: u64) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| version > known.version)
    }

    /// The state to report.
    fn state(&self) -> Option<Map<String, Value>> {
        let (report, _) = self.local.as_ref()?;
        Some(report.state(self.pace.bytes_max, self.cut))
    }

    /// How it differs from what the cloud has.
    fn patch(&self) -> Option<Map<String, Value>> {
        let known = self.known.as_ref()?;
        Some(patch::between(&known.reported, &self.state()?))
    }

    fn ask(&mut self, about: About, now: Instant) -> Sent {
        let token = self.tokens.fresh();
        let (topic, payload, about) = match about {
            About::Get => {
                let client_token = &token;
                let get = Get { client_token };
                self.asked = Some(now);
                (self.topics.get(), serde_json::to_vec(&get), About::Get)
            }
            About::Update(patch) => {
                let version = self.known.as_ref().map(|known| known.version);
                let update = Update {
                    state: Reported { reported: &patch },
                    client_token: &token,
                    version: version.filter(|version| *version > 0),
                };
                self.told = Some(now);
                let state = self.state().unwrap_or_default();
                let payload = serde_json::to_vec(&update);
                (self.topics.update(), payload, About::Update(state))
            }
        };
        self.seen = 0;
        let due = now + ANSWER_MAX;
        self.question = Some(Question { token, about, due });
        Sent {
            topic,
            payload: payload.unwrap_or_default().into(),
            durable: false,
        }
    }
}

#[cfg(test)]
mod tests;
