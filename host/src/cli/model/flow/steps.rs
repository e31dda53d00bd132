//! The steps: what each runs, on what, and what it made.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::document::Flow;
use super::files::{digests, last_line};
use super::patch::patched;
use super::state::{Ended, State, Step, put};
use crate::cli::failure::{Failure, Outcome};
use crate::names::Digest;

/// What a step of ours may take; that of training is in the file.
const STEP_MAX: Duration = Duration::from_secs(3_600);
/// How often a command is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Where `selvedge model publish --json` says what it published.
const PUBLISHED: &str = "published.json";

/// A flow, as far as its steps go.
pub(super) struct Work<'a> {
    pub(super) flow: &'a Flow,
    /// Held by each command as its standard input, as long as it runs.
    pub(super) lock: &'a File,
}

/// What a step would do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) step: Step,
    pub(super) command: Vec<String>,
    pub(super) inputs: BTreeMap<String, Digest>,
    pub(super) log: PathBuf,
    /// The document, as it has to be before the command runs.
    document: Option<(PathBuf, String)>,
}

/// What a step made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Made {
    /// Its files, by digest.
    pub(super) outputs: BTreeMap<String, Digest>,
    /// What it said last.
    pub(super) said: String,
    /// What was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
}

/// Why a step did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("`{step}` failed with {status}: {said}")]
    Ended {
        step: Step,
        status: String,
        said: String,
    },
    #[error("`{step}` took longer than {seconds} s, and was ended")]
    TooLong { step: Step, seconds: u64 },
    #[error("`{step}` cannot be started: `{program}`")]
    Start {
        step: Step,
        program: String,
        source: std::io::Error,
    },
    #[error("`{step}` ended well, but {what}")]
    Nothing { step: Step, what: String },
    #[error("`{step}` failed: {why}")]
    Files { step: Step, why: String },
}

#[derive(Deserialize)]
struct Published {
    reference: String,
}

impl Work<'_> {
    /// What `step` would do now; what came before it must have been done.
    pub(super) fn plan(&self, step: Step, state: &State) -> Outcome<Plan> {
        let flow = self.flow;
        let mut inputs = BTreeMap::new();
        let mut document = None;
        match step {
            Step::Train => {
                for path in &flow.train.inputs {
                    inputs.extend(digests(&flow.path(path), &path.display().to_string())?);
                }
            }
            Step::Compile | Step::Package | Step::Publish => {
                let from = self.model_for(step);
                inputs.extend(digests(&flow.made(from), &from.to_string())?);
            }
            Step::Deploy => {
                let (path, text) = self.document(state)?;
                inputs.insert(path.display().to_string(), Digest::of(text.as_bytes()));
                document = Some((path, text));
            }
        }
        Ok(Plan {
            step,
            command: self.command(step)?,
            inputs,
            log: flow
                .folder
                .join(&flow.out)
                .join("logs")
                .join(format!("{step}.log")),
            document,
        })
    }

    /// Whether `plan` was done before, and what it made is still there.
    pub(super) fn is_done(&self, plan: &Plan, state: &State) -> bool {
        let Some(record) = state.steps.get(&plan.step) else {
            return false;
        };
        let Some(Ended::Done { made, .. }) = &record.ended else {
            return false;
        };
        let there = match plan.document.as_ref() {
            Some((path, text)) => fs_err::read_to_string(path).is_ok_and(|now| now == *text),
            None => digests(&self.flow.made(plan.step), "").is_ok_and(|now| now == made.outputs),
        };
        there && record.command == plan.command && record.inputs == plan.inputs
    }

    /// Runs the command, and puts what it made in its place.
    pub(super) fn run(&self, plan: &Plan) -> Result<Made, StepError> {
        let step = plan.step;
        let files = |failure: Failure| StepError::Files {
            step,
            why: failure.text(),
        };
        self.prepare(plan).map_err(files)?;
        let aside = self.aside(step);
        let result = if step == Step::Publish {
            Some(aside.join(PUBLISHED))
        } else {
            None
        };
        let status = self.wait_for(plan, result.as_deref())?;
        let said = fs_err::File::open(&plan.log).map_err(Failure::from);
        let said = said
            .and_then(|log| last_line(log.into_file()))
            .map_err(files)?;
        if !status.success() {
            let status = status.to_string();
            return Err(StepError::Ended { step, status, said });
        }
        let reference = result.map(|path| reference(step, &path)).transpose()?;
        if step == Step::Deploy {
            return Ok(Made {
                said,
                ..Made::default()
            });
        }
        if matches!(step, Step::Train | Step::Compile) && !aside.join("model.toml").is_file() {
            let what = "there is no `model.toml` in its folder".to_owned();
            return Err(StepError::Nothing { step, what });
        }
        self.keep(step).map_err(files)?;
        Ok(Made {
            outputs: digests(&self.flow.made(step), "").map_err(files)?,
            said: reference.clone().unwrap_or(said),
            reference,
        })
    }

    /// The command of a step, for people.
    pub(super) fn command_text(&self, step: Step) -> String {
        let command = self.command(step).unwrap_or_default();
        let quoted = |word: &String| {
            let bare = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
            if !word.is_empty() && word.chars().all(bare) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        };
        let words: Vec<_> = command.iter().map(quoted).collect();
        words.join(" ")
    }

    /// For a document that names what was published, and no host to send it to.
    pub(super) fn what_to_do(&self) -> String {
        let document = self
            .flow
            .deploy
            .as_ref()
            .map(|deploy| deploy.document.display());
        let document = document.map(|path| path.to_string()).unwrap_or_default();
        format!("the document names the model; now: selvedge deploy {document}")
    }

    /// Whose result a step takes.
    fn model_for(&self, step: Step) -> Step {
        if step > Step::Compile && self.flow.compile.is_some() {
            Step::Compile
        } else {
            Step::Train
        }
    }

    /// The document, naming what was published.
    fn document(&self, state: &State) -> Outcome<(PathBuf, String)> {
        let Some(deploy) = &self.flow.deploy else {
            return Err(Failure::usage("there is no `[deploy]`"));
        };
        let published = state
            .made(Step::Publish)
            .and_then(|made| made.reference.as_ref());
        let Some(reference) = published else {
            return Err(Failure::usage("nothing was published"));
        };
        let path = self.flow.path(&deploy.document);
        let text = fs_err::read_to_string(&path)?;
        let text = patched(&text, &deploy.model, reference);
        let text = text.map_err(|why| Failure::about(&path, why))?;
        Ok((path, text))
    }

    fn command(&self, step: Step) -> Outcome<Vec<String>> {
        let flow = self.flow;
        let aside = self.aside(step).display().to_string();
        if step == Step::Train {
            let version = flow.version.to_string();
            let word = |word: &String| word.replace("{out}", &aside).replace("{version}", &version);
            return Ok(flow.train.command.iter().map(word).collect());
        }
        let own = std::env::current_exe()?.display().to_string();
        let model = flow.made(self.model_for(step)).display().to_string();
        let text = |path: &Path| path.display().to_string();
        let (words, options): (Vec<String>, _) = match step {
            Step::Train => (Vec::new(), None),
            Step::Compile => {
                let compile = flow.compile.as_ref();
                let backend = compile.map(|it| it.backend.clone()).unwrap_or_default();
                let words = [
                    "model",
                    "compile",
                    &model,
                    "--backend",
                    &backend,
                    "--output",
                    &aside,
                ];
                (
                    words.map(str::to_owned).into(),
                    compile.map(|it| &it.options),
                )
            }
            Step::Package => {
                let package = flow.package.as_ref();
                let to = package.map(|it| it.to.to_string()).unwrap_or_default();
                let file = text(&self.aside(step).join("model.tar"));
                let words = ["model", "package", &model, &to, "--output", &file];
                (
                    words.map(str::to_owned).into(),
                    package.map(|it| &it.options),
                )
            }
            Step::Publish => {
                let publish = flow.publish.as_ref();
                let to = publish.map(|it| it.to.to_string()).unwrap_or_default();
                let words = ["model", "publish", &model, &to, "--json"];
                (
                    words.map(str::to_owned).into(),
                    publish.map(|it| &it.options),
                )
            }
            Step::Deploy => {
                let deploy = flow.deploy.as_ref();
                let document = deploy
                    .map(|it| text(&flow.path(&it.document)))
                    .unwrap_or_default();
                let host = deploy.and_then(|it| it.host.clone());
                // Without a host it is only looked at.
                let verb = if host.is_some() { "deploy" } else { "check" };
                let mut words = vec![verb.to_owned(), document];
                words.extend(
                    host.into_iter()
                        .flat_map(|host| ["--host".to_owned(), host]),
                );
                (words, deploy.map(|it| &it.options))
            }
        };
        let options = options.into_iter().flatten().cloned();
        Ok(std::iter::once(own).chain(words).chain(options).collect())
    }

    /// Where a step writes until it has ended well.
    fn aside(&self, step: Step) -> PathBuf {
        let mut name = self.flow.made(step).into_os_string();
        name.push(".new");
        name.into()
    }

    /// An empty folder for what the step makes, and the document as it has to be.
    fn prepare(&self, plan: &Plan) -> Outcome<()> {
        let logs = plan.log.parent().unwrap_or(Path::new("."));
        fs_err::create_dir_all(logs)?;
        let aside = self.aside(plan.step);
        if aside.exists() {
            fs_err::remove_dir_all(&aside)?;
        }
        match &plan.document {
            Some((path, text)) => put(path, text.as_bytes()),
            // This one makes its folder itself.
            None if plan.step == Step::Compile => Ok(()),
            None => Ok(fs_err::create_dir_all(&aside)?),
        }
    }

    fn keep(&self, step: Step) -> Outcome<()> {
        let (aside, place) = (self.aside(step), self.flow.made(step));
        if place.exists() {
            fs_err::remove_dir_all(&place)?;
        }
        fs_err::rename(aside, &place)?;
        let folder = place.parent().unwrap_or(Path::new("."));
        Ok(fs_err::File::open(folder)?.sync_all()?)
    }

    /// Runs the command to its end. Its output goes to the log, or `result`.
    fn wait_for(
        &self,
        plan: &Plan,
        result: Option<&Path>,
    ) -> Result<std::process::ExitStatus, StepError> {
        let step = plan.step;
        let (program, words) = plan.command.split_first().ok_or_else(|| StepError::Files {
            step,
            why: "it has no command".to_owned(),
        })?;
        let start = |source| StepError::Start {
            step,
            program: program.clone(),
            source,
        };
        let log = fs_err::File::create(&plan.log).map_err(start)?.into_file();
        let output = match result {
            Some(path) => fs_err::File::create(path).map_err(start)?.into_file(),
            None => log.try_clone().map_err(start)?,
        };
        let lock = self.lock.try_clone().map_err(start)?;
        let mut child = Command::new(program)
            .args(words)
            .current_dir(&self.flow.folder)
            .stdin(lock)
            .stdout(output)
            .stderr(log)
            .spawn()
            .map_err(start)?;
        let max = match step {
            Step::Train => Duration::from_secs(self.flow.train.timeout_s.get().into()),
            _ => STEP_MAX,
        };
        match ended(&mut child, max) {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(StepError::TooLong {
                step,
                seconds: max.as_secs(),
            }),
            Err(source) => Err(start(source)),
        }
    }
}

/// How it ended; none if it had to be ended.
fn ended(child: &mut Child, max: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= max {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn reference(step: Step, path: &Path) -> Result<String, StepError> {
    let text = fs_err::read(path).unwrap_or_default();
    let published: Result<Published, _> = serde_json::from_slice(&text);
    published
        .map(|it| it.reference)
        .map_err(|error| StepError::Nothing {
            step,
            what: format!("did not say what it published: {error}"),
        })
}
