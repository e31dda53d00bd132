//! A device that is started again and again: its data directory, the components
//! that its deployments name, and what must hold of it at any time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use selvedge::app::{App, Mode};
use selvedge::bus::{Inbox, InboxLimits, Message};
use selvedge::config::HostConfig;
use selvedge::deployment::deployments::{Deployments, PluginReport};
use selvedge::deployment::document::source::Source;
use selvedge::deployment::report::{DeploymentId, DeploymentReport, Phase};
use selvedge::deployment::submission::{Submission, SubmitError, WhenBusy};
use selvedge::spec::Overflow;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::guests::guest;
use crate::process::DEADLINE;

/// How often something is looked at that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(20);

/// A folder with components, and a data directory.
pub(crate) struct Device {
    folder: TempDir,
}

/// A host at work on a device.
pub(crate) struct Host {
    app: App,
    folder: PathBuf,
}

/// A document of plugins by name, each a guest in a mode.
pub(crate) struct Line {
    version: usize,
    plugins: String,
    probation: String,
}

impl Line {
    pub(crate) fn new(version: usize) -> Self {
        Self {
            version,
            plugins: String::new(),
            probation: "[probation]\nseconds = 0\n".to_owned(),
        }
    }

    /// A plugin that hears `in/<name>/#` and publishes `seen/#` and `echo/#`.
    pub(crate) fn plugin(mut self, name: &str, guest: &str, mode: &str) -> Self {
        self.plugins += &format!(
            "[plugins.{name}]\ncomponent = \"{guest}.wasm\"\nconfig.mode = \"{mode}\"\n\
             grants.subscribe = [\"in/{name}/#\"]\ngrants.publish = [\"seen/#\", \"echo/#\"]\n\
             limits.restarts_max = 1\nlimits.retries_max = 0\n"
        );
        self
    }

    /// A plugin that counts what it hears on `in/<name>/#` and tells `seen/<name>`,
    /// with text for its configuration, as `tests/guests/shared/counting.rs` says.
    pub(crate) fn counts(mut self, name: &str, guest: &str, config: &str) -> Self {
        self.plugins += &format!(
            "[plugins.{name}]\ncomponent = \"{guest}.wasm\"\nconfig = {{ topic = \"seen/{name}\", {config} }}\n\
             grants.subscribe = [\"in/{name}/#\"]\ngrants.publish = [\"seen/{name}\"]\n"
        );
        self
    }

    /// Takes `reference` wherever the file `component` is named.
    pub(crate) fn with_component(mut self, component: &str, reference: &str) -> Self {
        self.plugins = self.plugins.replace(component, reference);
        self
    }

    /// Lets `name`, which counts, publish there too.
    pub(crate) fn publishing(mut self, name: &str, filter: &str) -> Self {
        let own = format!("[\"seen/{name}\"]");
        let both = format!("[\"seen/{name}\", \"{filter}\"]");
        self.plugins = self.plugins.replace(&own, &both);
        self
    }

    /// Any text that belongs to the plugin before it.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.plugins += text;
        self.plugins += "\n";
        self
    }

    pub(crate) fn probation(mut self, seconds: u32) -> Self {
        self.probation = format!("[probation]\nseconds = {seconds}\ndead_letters_max = 2\n");
        self
    }

    /// A probation in which so many runs of a model may fail.
    pub(crate) fn model_failures_max(mut self, failures: u32) -> Self {
        self.probation += &format!("model_failures_max = {failures}\n");
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            version,
            plugins,
            probation,
        } = self;
        format!("name = \"line\"\nversion = \"{version}.0.0\"\n{plugins}{probation}")
    }
}

impl Device {
    pub(crate) fn new() -> Self {
        Self::with(&[
            "echo",
            "handles",
            "begins",
            "serves",
            "update_counts",
            "update_service",
        ])
    }

    /// One beside these components.
    pub(crate) fn with(guests: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in guests {
            let path = folder.path().join(name).with_extension("wasm");
            fs_err::write(path, guest(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Starts a host, which goes on with what was deployed.
    pub(crate) async fn start(&self) -> Host {
        let host = self.open();
        host.resume().await;
        host
    }

    /// A host that has not begun.
    pub(crate) fn open(&self) -> Host {
        self.open_with(|_| ())
    }

    /// The same, with another configuration.
    pub(crate) fn open_with(&self, change: impl FnOnce(&mut HostConfig)) -> Host {
        let mut config = HostConfig {
            data_directory: self.data(),
            shutdown_grace_ms: 500.try_into().unwrap(),
            ..HostConfig::default()
        };
        change(&mut config);
        Host {
            app: App::build(&config, Mode::Development).unwrap(),
            folder: self.folder().to_owned(),
        }
    }
}

impl Host {
    /// A host put together elsewhere; its documents lie in `folder`.
    pub(crate) fn of(app: App, folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { app, folder }
    }

    /// Goes on with what was deployed.
    pub(crate) async fn resume(&self) {
        self.app.resume().await.unwrap();
    }

    pub(crate) fn deployments(&self) -> &Deployments {
        self.app.deployments()
    }

    /// Stops in order, as on SIGTERM.
    pub(crate) async fn stop(self) {
        self.app.shut_down().await;
    }

    pub(crate) fn submission(&self, line: &Line) -> Submission {
        self.submission_of(line.text())
    }

    /// Of a document that is no [`Line`].
    pub(crate) fn submission_of(&self, text: String) -> Submission {
        let path = self.folder.join("line.toml");
        let source = Source::new(&path, text.into_bytes()).unwrap();
        let submission = Submission::of_source(&source, &[], self.deployments().files());
        submission.unwrap().by("a test")
    }

    pub(crate) async fn submit(
        &self,
        line: &Line,
        when_busy: WhenBusy,
    ) -> Result<DeploymentId, SubmitError> {
        let submission = Submission {
            when_busy,
            ..self.submission(line)
        };
        self.deployments().submit(submission).await
    }

    /// Deploys, and waits for the end.
    pub(crate) async fn deploy(&self, line: &Line) -> DeploymentReport {
        let id = self.submit(line, WhenBusy::Queue).await.unwrap();
        self.ended(id).await
    }

    /// The same, which is kept.
    pub(crate) async fn commit(&self, line: &Line) -> DeploymentId {
        let report = self.deploy(line).await;
        assert_eq!(report.phase, Phase::Committed, "{report:?}");
        report.id
    }

    pub(crate) async fn ended(&self, id: DeploymentId) -> DeploymentReport {
        let ended = timeout(DEADLINE, self.deployments().ended(id)).await;
        ended.expect("deployments end").expect("it was taken in")
    }

    /// Deploys, and waits until it runs.
    pub(crate) async fn begin(&self, line: &Line) -> DeploymentId {
        self.app.deploy(self.submission(line)).await.unwrap()
    }

    pub(crate) fn phase(&self, id: DeploymentId) -> Phase {
        self.deployments().report(id).unwrap().phase
    }

    pub(crate) fn active(&self) -> Option<DeploymentId> {
        self.deployments().active().map(|report| report.id)
    }

    pub(crate) fn plugin(&self, name: &str) -> PluginReport {
        let plugins = self.deployments().plugins();
        let found = plugins.into_iter().find(|it| it.plugin.as_str() == name);
        found.unwrap_or_else(|| panic!("no plugin `{name}`"))
    }

    pub(crate) fn plugins(&self) -> Vec<String> {
        let plugins = self.deployments().plugins().into_iter();
        plugins
            .map(|it| format!("{} {}", it.plugin, it.state))
            .collect()
    }

    pub(crate) fn listen(&self, filter: &str) -> Inbox {
        let limits = InboxLimits {
            messages_max: 10_000,
            bytes_max: 16 << 20,
            overflow: Overflow::DropNewest,
            answers: false,
        };
        let host = self.app.bus().host_party();
        host.subscribe(&[filter.parse().unwrap()], limits).unwrap()
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        let message = Message::new(topic.parse().unwrap(), payload.to_owned());
        // Whoever has no room for it misses it.
        self.app.bus().host_party().publish_lossy(message).unwrap();
    }

    /// Publishes once there is room.
    pub(crate) async fn publish_waiting(&self, topic: &str, payload: &str) {
        let message = Message::new(topic.parse().unwrap(), payload.to_owned());
        let host = self.app.bus().host_party();
        host.publish_waiting(message).await.unwrap();
    }

    /// What `plugin` says to a message; it is alive.
    pub(crate) async fn answer(&self, plugin: &str, on: &str) -> Arc<Message> {
        let mut answers = self.listen(on);
        let mut batch = Vec::new();
        let answered = timeout(DEADLINE, async {
            self.publish(&format!("in/{plugin}/a"), "hello");
            answers.receive(1, &mut batch).await;
        });
        answered
            .await
            .unwrap_or_else(|_| panic!("`{plugin}` does not answer"));
        batch.remove(0)
    }

    /// Makes a plugin fail until it is given up, and leaves nothing behind: each
    /// message that kills it is a dead letter before the next one comes.
    pub(crate) async fn kill(&self, plugin: &str, poison: &str) {
        let mut dead = self.listen(&format!("$selvedge/dead-letter/{plugin}"));
        for _ in 0..2 {
            self.publish(&format!("in/{plugin}/x"), poison);
            let letter = timeout(DEADLINE, dead.receive(1, &mut Vec::new())).await;
            letter.unwrap_or_else(|_| panic!("`{plugin}` took its poison"));
        }
        self.until("given up", |host| host.plugin(plugin).state == "given-up")
            .await;
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let held = timeout(DEADLINE, async {
            while !holds(self) {
                tokio::time::sleep(LOOK).await;
            }
        });
        held.await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// What must hold of a host that has nothing to do: all plugins are of the
    /// deployment in force and at work, and each deployment has ended once.
    pub(crate) async fn assert_whole(&self) {
        self.until("nothing under way", |host| {
            host.deployments().under_way().is_empty()
        })
        .await;
        let active = self.deployments().active();
        let plugins = self.deployments().plugins();
        let named: BTreeSet<_> = active
            .iter()
            .flat_map(|report| report.plugins.keys().cloned())
            .collect();
        let at_work: BTreeSet<_> = plugins.iter().map(|it| it.plugin.clone()).collect();
        assert_eq!(at_work, named, "not the plugins of {active:?}");
        for plugin in &plugins {
            let active = active.as_ref().unwrap();
            let wanted = &active.plugins[&plugin.plugin];
            assert_eq!(plugin.digest, wanted.digest.to_string());
            assert_eq!(plugin.state, "running", "{plugin:?}");
            assert!(plugin.deployment <= active.id, "{plugin:?}");
        }
        let history = self.deployments().history(None, usize::MAX);
        for report in &history {
            assert!(report.phase.is_final(), "{report:?}");
            assert!(report.ended_at.is_some(), "{report:?}");
        }
        if let Some(active) = active {
            assert_eq!(active.phase, Phase::Committed);
            let newest = history.iter().find(|it| it.phase == Phase::Committed);
            assert_eq!(newest.unwrap().id, active.id);
        }
        assert_eq!(self.deployments().troubles(), Vec::<String>::new());
    }
}
