//! One device whose host is killed again and again at random moments, and what
//! must hold each time that it comes back.
//!
//! All plugins that run are of one deployment: of the one in force, or of the one
//! in its probation. What was heard of stays. At the end a deployment goes
//! through. The benchmark has this file too: it panics nowhere.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, Outcome};
use super::documents::{Chance, Draft, Fate};
use super::facts::{Facts, Tally, is_final, list, number, text};
use super::victim::{NEVER, Victim};

/// Heard within this, or looked again.
const ANSWER: Duration = Duration::from_millis(200);
/// Lines of the log that are shown of a device that failed.
const SHOWN: usize = 80;

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    binary: PathBuf,
    folder: PathBuf,
    chance: Chance,
    facts: Facts,
    /// The last mark that was given out.
    mark: u64,
    /// How long a deployment takes here if nobody kills the host.
    usual: Duration,
    log: String,
    /// How long each start took after a kill.
    pub(crate) starts: Vec<Duration>,
}

impl Device {
    pub(crate) fn new(binary: &Path, folder: &Path, seed: u64) -> Self {
        Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            chance: Chance::new(seed),
            facts: Facts::default(),
            mark: 0,
            usual: Duration::ZERO,
            log: String::new(),
            starts: Vec::new(),
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.facts.tally()
    }

    /// The end of what its hosts printed.
    pub(crate) fn shown(&self) -> String {
        let lines: Vec<_> = self.log.lines().rev().take(SHOWN).collect();
        lines
            .into_iter()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// Kills its host so many times.
    pub(crate) fn run(&mut self, kills: usize) -> Outcome<()> {
        let mut host = self.start()?;
        host.wait_until_ready()?;
        self.commit(&host)?;
        let begun = Instant::now();
        self.commit(&host)?;
        self.usual = begun.elapsed();
        let mut killed = 0;
        while killed < kills {
            self.work(&host)?;
            self.kill(host)?;
            killed += 1;
            if killed < kills && self.chance.one_in(5) {
                let starting = self.start()?;
                self.pause(Duration::from_millis(150));
                self.kill(starting)?;
                killed += 1;
            }
            host = self.start()?;
            self.starts.push(host.wait_until_ready()?);
            self.look(&host, true)
                .map_err(|wrong| format!("after kill {killed}: {wrong}"))?;
            if self.chance.one_in(2) {
                self.settle(&host)
                    .map_err(|wrong| format!("after kill {killed}: {wrong}"))?;
            }
        }
        self.settle(&host)?;
        self.commit(&host)?;
        self.settle(&host)?;
        self.log += &host.stop()?;
        Ok(())
    }

    fn start(&mut self) -> Outcome<Victim> {
        self.log += "-- started\n";
        Victim::start(&self.binary, &self.folder, &["run"])
    }

    fn kill(&mut self, host: Victim) -> Outcome<()> {
        self.log += &host.kill()?;
        self.log += "-- killed\n";
        Ok(())
    }

    /// Up to so long.
    fn pause(&mut self, max: Duration) {
        let micros = self
            .chance
            .below(u64::try_from(max.as_micros()).unwrap_or(u64::MAX));
        std::thread::sleep(Duration::from_micros(micros));
    }

    fn draft(&mut self) -> Draft {
        self.mark += 1;
        Draft::random(self.mark, &mut self.chance)
    }

    fn submit(&mut self, host: &Victim, draft: &Draft, when_busy: &str) -> Outcome<u64> {
        self.facts.draft(draft);
        let taken = host
            .client()
            .post("/v1/deployments", &request(draft, when_busy))?;
        let id = number(&taken, "deployment");
        self.facts.taken_in(id, draft.mark)?;
        Ok(id)
    }

    /// Deploys, and it is kept.
    fn commit(&mut self, host: &Victim) -> Outcome<()> {
        self.mark += 1;
        let id = self.submit(host, &Draft::plain(self.mark), "queue")?;
        let phase = self.follow(host, id, None, NEVER)?;
        if phase != "committed" {
            return Err(format!("deployment {id} is {phase}").into());
        }
        Ok(())
    }

    /// Something is under way, and a random moment of it has come.
    fn work(&mut self, host: &Victim) -> Outcome<()> {
        // Now and then nothing new: what the last kill left is killed again.
        if self.chance.one_in(6) {
            self.pause(self.usual);
            return Ok(());
        }
        let draft = self.draft();
        if self.chance.one_in(8) {
            // Its answer is not waited for.
            self.facts.draft(&draft);
            let request = request(&draft, "queue");
            let asked = host
                .client()
                .send("POST", "/v1/deployments", Some(&request))?;
            self.pause(self.usual);
            drop(asked);
            return Ok(());
        }
        let mut id = self.submit(host, &draft, "queue")?;
        let mut last = draft;
        if self.chance.one_in(4) {
            self.pause(self.usual / 2);
            last = self.draft();
            let when_busy = if self.chance.one_in(2) {
                "queue"
            } else {
                "supersede"
            };
            id = self.submit(host, &last, when_busy)?;
        }
        let whole = self.usual + Duration::from_secs(last.seconds);
        match self.chance.below(4) {
            0 => drop(self.follow(host, id, None, NEVER)?),
            1 => {
                let phases = ["compile", "prepare", "swap", "probation"];
                let wanted = usize::try_from(self.chance.below(4)).unwrap_or_default();
                self.follow(host, id, phases.get(wanted).copied(), NEVER)?;
                self.pause(Duration::from_millis(5));
            }
            _ => {
                let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
                let moment = Duration::from_micros(self.chance.below(micros));
                self.follow(host, id, None, moment)?;
            }
        }
        Ok(())
    }

    /// Hears of a deployment until it is in the phase that is `wanted`, or has
    /// ended, or the time is over; the last phase that was heard.
    fn follow(
        &mut self,
        host: &Victim,
        id: u64,
        wanted: Option<&str>,
        time: Duration,
    ) -> Outcome<String> {
        let end = Instant::now() + time;
        let mut lines = host
            .client()
            .lines(&format!("/v1/deployments/{id}/events"))?;
        let mut heard = String::new();
        while let Some(line) = lines.next(end.saturating_duration_since(Instant::now())) {
            let phase = text(&line, "phase");
            let is_news = text(&line, "event") != "progress" && !phase.is_empty();
            if !is_news || (is_final(phase) && line.get("id").is_none()) {
                continue;
            }
            let is_fresh = !heard.is_empty();
            phase.clone_into(&mut heard);
            self.facts.heard(id, phase);
            if phase == "probation" && self.facts.of(id)?.fate == Fate::RolledBack {
                publish(host.client(), "bad/hall/p", "{")?;
                // Its probation could be over already if nobody saw it begin.
                if is_fresh {
                    self.facts.poisoned(id);
                }
            }
            if is_final(phase) || wanted == Some(phase) {
                break;
            }
        }
        Ok(heard)
    }

    /// What holds at any time: the plugins are of one deployment.
    fn look(&mut self, host: &Victim, restarted: bool) -> Outcome<()> {
        let end = Instant::now() + NEVER;
        let mut restarted = restarted;
        loop {
            let status = host.client().get("/v1/status")?;
            let history = host.client().get("/v1/deployments?limit=500")?;
            let after = host.client().get("/v1/status")?;
            self.facts.check(&status, &history, restarted)?;
            restarted = false;
            let at_work = at_work(&status);
            if at_work == self::at_work(&after) {
                let (active, _, phase) = &at_work;
                let newest = self.facts.newest_kept();
                if newest != Some(*active) {
                    return Err(format!("{active} is in force, and {newest:?} was kept").into());
                }
                match self.assert_whole(&status, &at_work) {
                    Ok(()) => return Ok(()),
                    // It may be on its way back, which has no name of its own.
                    Err(wrong) if phase != "swap" && phase != "probation" => return Err(wrong),
                    Err(_) => {}
                }
            }
            if Instant::now() > end {
                return Err(format!("never whole: {status}").into());
            }
        }
    }

    fn assert_whole(&self, status: &Value, at_work: &(u64, u64, String)) -> Outcome<()> {
        let (active, under_way, phase) = at_work;
        let owner = if phase == "probation" {
            under_way
        } else {
            active
        };
        let mut names = self.facts.of(*owner)?.names.clone();
        names.sort();
        let plugins = list(status, "plugins");
        let running: Vec<_> = plugins
            .iter()
            .map(|plugin| text(plugin, "plugin"))
            .collect();
        let mut owners = plugins.iter().map(|plugin| number(plugin, "deployment"));
        if running != names || owners.any(|other| other != *owner) {
            return Err(format!("not all plugins of {owner}, and nothing else: {status}").into());
        }
        Ok(())
    }

    /// Nothing is under way any more, and what is in force is at work.
    fn settle(&mut self, host: &Victim) -> Outcome<()> {
        let end = Instant::now() + NEVER;
        let status = loop {
            let status = host.client().get("/v1/status")?;
            let mut plugins = list(&status, "plugins").iter();
            let running = plugins.all(|plugin| text(plugin, "state") == "running");
            match list(&status, "under_way").first() {
                None if running => break status,
                Some(next) => drop(self.follow(host, number(next, "id"), None, NEVER)?),
                None => {}
            }
            if Instant::now() > end {
                return Err(format!("never at work: {status}").into());
            }
        };
        self.look(host, false)?;
        let (active, ..) = at_work(&status);
        let document = host
            .client()
            .text(&format!("/v1/deployments/{active}/document"))?;
        let draft = self.facts.of(active)?;
        if document != draft.text() {
            return Err(format!("deployment {active} has another document: {document}").into());
        }
        assert_speaks(host.client(), draft)
    }
}

/// The deployment in force, and the one under way with its phase.
fn at_work(status: &Value) -> (u64, u64, String) {
    let active = status
        .get("active")
        .map_or(0, |report| number(report, "id"));
    let first = list(status, "under_way").first();
    let (id, phase) = first.map_or((0, ""), |it| (number(it, "id"), text(it, "phase")));
    (active, id, phase.to_owned())
}

fn request(draft: &Draft, when_busy: &str) -> Value {
    json!({ "document": draft.text(), "file": "line.toml", "when_busy": when_busy })
}

fn publish(client: &Client, topic: &str, text: &str) -> Outcome<()> {
    let message = json!({ "topic": topic, "text": text });
    client.post("/v1/publish", &message).map(drop)
}

/// Each plugin says the mark with which it is configured, and no other.
fn assert_speaks(client: &Client, draft: &Draft) -> Outcome<()> {
    let mut tap = client.lines("/v1/tap?filter=%2B/hall/%2B")?;
    let mut silent: Vec<_> = draft
        .names
        .iter()
        .map(|name| format!("mark-{}-{name}", draft.mark))
        .collect();
    let expected = silent.clone();
    let end = Instant::now() + NEVER;
    let mut device = 0;
    while !silent.is_empty() {
        device += 1;
        let pack = r#"[{"n":"t","t":1700000000,"v":1},{"n":"t","t":1700000001,"v":2},{"n":"t","t":1700000002,"v":3}]"#;
        publish(
            client,
            &format!("telemetry/hall/{}-{device}", draft.mark),
            pack,
        )?;
        while let Some(tapped) = tap.next(ANSWER) {
            let topic = text(&tapped, "topic").split('/').next().unwrap_or_default();
            if topic.starts_with("mark-") && !expected.iter().any(|it| it == topic) {
                return Err(format!("`{topic}` speaks, and only {expected:?} should").into());
            }
            silent.retain(|it| it != topic);
            if silent.is_empty() {
                break;
            }
        }
        if Instant::now() > end {
            return Err(format!("never heard of {silent:?}").into());
        }
    }
    Ok(())
}
