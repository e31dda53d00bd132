//! A host in this process that runs a deployment, and a party on its bus.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use selvedge::app::{App, Mode};
use selvedge::bus::{Inbox, InboxLimits, Message};
use selvedge::config::HostConfig;
use selvedge::deployment::document::source::Source;
use selvedge::deployment::submission::Submission;
use selvedge::spec::Overflow;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::process::DEADLINE;

/// What the test watches. If it is too slow it misses the oldest.
const WATCHED: InboxLimits = InboxLimits {
    messages_max: 10_000,
    bytes_max: 16 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

/// A running host.
pub(crate) struct Gateway {
    app: App,
    inbox: Inbox,
    waiting: VecDeque<Arc<Message>>,
    /// How its units fared so far: `plugin/echo running`.
    states: Vec<String>,
    _data: TempDir,
}

impl Gateway {
    /// A host that runs `text` as if it stood in the file at `path`; the test
    /// sees what is published on `filters`.
    pub(crate) async fn start(path: &Path, text: &str, filters: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = HostConfig {
            data_directory: data.path().to_owned(),
            ..HostConfig::default()
        };
        // What these tests do to plugins would not pass.
        let text = format!("{text}\n[probation]\nseconds = 0\n");
        let source = Source::new(path, text.into_bytes()).unwrap();
        let app = App::build(&config, Mode::Development).unwrap();
        let filters = filters.iter().chain(&["$selvedge/#"]);
        let filters: Vec<_> = filters.map(|filter| filter.parse().unwrap()).collect();
        let inbox = app.bus().host_party().subscribe(&filters, WATCHED).unwrap();
        app.begin_afresh().await.unwrap();
        let files = app.deployments().files();
        let submission = Submission::of_source(&source, &[], files).unwrap();
        let deployed = app.deploy(submission).await;
        deployed.unwrap_or_else(|error| panic!("{error}"));
        Self {
            app,
            inbox,
            waiting: VecDeque::new(),
            states: Vec::new(),
            _data: data,
        }
    }

    pub(crate) fn publish(&self, message: Message) {
        self.app.bus().host_party().publish(message).unwrap();
    }

    /// The next message that is not the host's own.
    pub(crate) async fn message(&mut self) -> Arc<Message> {
        loop {
            let Some(message) = self.waiting.pop_front() else {
                let mut batch = Vec::new();
                let received = timeout(DEADLINE, self.inbox.receive(256, &mut batch)).await;
                assert!(received.is_ok(), "nothing came; so far: {:?}", self.states);
                self.waiting.extend(batch);
                continue;
            };
            if !self.observe(&message) {
                return message;
            }
        }
    }

    /// Stops everything; how the units fared from first to last.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.app.shut_down().await;
        let mut rest = Vec::from(std::mem::take(&mut self.waiting));
        while self.inbox.try_receive(256, &mut rest) > 0 {}
        for message in rest {
            self.observe(&message);
        }
        self.states
    }

    /// Takes in news of the host; whether it was that.
    #[expect(clippy::print_stdout, reason = "shown if the test fails")]
    fn observe(&mut self, message: &Message) -> bool {
        let topic = message.topic.as_str();
        if let Some(unit) = topic.strip_prefix("$selvedge/state/") {
            let state: Json = serde_json::from_slice(&message.payload).unwrap();
            let state = state["state"].as_str().unwrap();
            // The host's own units are not the test's.
            if unit.starts_with("plugin/") {
                self.states.push(format!("{unit} {state}"));
            }
        } else if topic.starts_with("$selvedge/") {
            println!("{topic}: {}", String::from_utf8_lossy(&message.payload));
        }
        topic.starts_with("$selvedge/")
    }
}
