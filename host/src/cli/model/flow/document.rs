//! `flow.toml`: what is done, with what, and where its results go.

use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};

use selvedge_artifact::Reference;
use semver::Version;
use serde::Deserialize;

use super::state::Step;
use crate::cli::failure::{Failure, Outcome};
use crate::names::ModelName;

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Words of a command, and files that a step may name.
const WORDS_MAX: usize = 256;
/// A training may take a day.
const SECONDS_MAX: u32 = 86_400;

/// What `flow.toml` says. Paths are seen from its folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    /// The version that is made: `{version}` in commands.
    pub(super) version: Version,
    /// The folder that the results and logs go to.
    #[serde(default = "out")]
    pub(super) out: PathBuf,
    pub(super) train: Train,
    #[serde(default)]
    pub(super) compile: Option<Compile>,
    #[serde(default)]
    pub(super) package: Option<Package>,
    #[serde(default)]
    pub(super) publish: Option<Publish>,
    #[serde(default)]
    pub(super) deploy: Option<Deploy>,
    /// Where the file is.
    #[serde(skip)]
    pub(super) folder: PathBuf,
}

/// One's own command. It writes `model.toml` and what that names to `{out}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Train {
    /// Run in the folder of the file, without a shell.
    pub(super) command: Vec<String>,
    /// Files and folders that its result depends on: data and scripts.
    pub(super) inputs: Vec<PathBuf>,
    /// Seconds that it may take.
    #[serde(default = "hour")]
    pub(super) timeout_s: NonZeroU32,
}

/// `selvedge model compile`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compile {
    /// The library that will run it.
    pub(super) backend: String,
    /// Further options.
    #[serde(default)]
    pub(super) options: Vec<String>,
}

/// `selvedge model package`, to `package/model.tar`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    /// What it will be called, without a tag.
    pub(super) to: Reference,
    /// Further options: who signs.
    #[serde(default)]
    pub(super) options: Vec<String>,
}

/// `selvedge model publish`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    /// Where to, without a tag.
    pub(super) to: Reference,
    /// Further options: who signs.
    #[serde(default)]
    pub(super) options: Vec<String>,
}

/// `selvedge deploy`, once the document names what was published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploy {
    /// The deployment document.
    pub(super) document: PathBuf,
    /// The model's name in it.
    pub(super) model: ModelName,
    /// The host; without it, what is to be done is printed and not done.
    #[serde(default)]
    pub(super) host: Option<String>,
    /// Further options.
    #[serde(default)]
    pub(super) options: Vec<String>,
}

fn out() -> PathBuf {
    PathBuf::from("out")
}

fn hour() -> NonZeroU32 {
    nonzero!(NonZeroU32, 3_600)
}

impl Flow {
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let file = fs_err::File::open(path)?;
        let mut text = String::new();
        let mut file = std::io::Read::take(file, FILE_BYTES_MAX);
        std::io::Read::read_to_string(&mut file, &mut text)?;
        let folder = std::path::absolute(path)?;
        let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
        Self::parse(&text, folder)
            .map_err(|why| Failure::config(&format!("{}: {why}", path.display())))
    }

    pub(super) fn parse(text: &str, folder: PathBuf) -> Result<Self, String> {
        let mut flow: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        flow.folder = folder;
        flow.check()?;
        Ok(flow)
    }

    fn check(&self) -> Result<(), String> {
        // It is emptied: nothing of one's own may be there.
        let plain = |part| matches!(part, Component::Normal(_));
        if self.out.as_os_str().is_empty() || !self.out.components().all(plain) {
            return Err("`out` is not a folder below that of the file".to_owned());
        }
        if self.train.command.is_empty() {
            return Err("`train.command` is empty".to_owned());
        }
        if self.train.timeout_s.get() > SECONDS_MAX {
            return Err(format!("`train.timeout_s` is more than {SECONDS_MAX}"));
        }
        let none = Vec::new();
        let options = [
            &self.train.command,
            self.compile.as_ref().map_or(&none, |step| &step.options),
            self.package.as_ref().map_or(&none, |step| &step.options),
            self.publish.as_ref().map_or(&none, |step| &step.options),
            self.deploy.as_ref().map_or(&none, |step| &step.options),
        ];
        if options.into_iter().any(|words| words.len() > WORDS_MAX)
            || self.train.inputs.len() > WORDS_MAX
        {
            return Err(format!("more than {WORDS_MAX} words or inputs of a step"));
        }
        if self.deploy.is_some() && self.publish.is_none() {
            return Err(
                "`[deploy]` needs `[publish]`: a host takes models from registries".to_owned(),
            );
        }
        Ok(())
    }

    /// What is to be done, in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let steps = [
            Some(Step::Train),
            self.compile.as_ref().map(|_| Step::Compile),
            self.package.as_ref().map(|_| Step::Package),
            self.publish.as_ref().map(|_| Step::Publish),
            self.deploy.as_ref().map(|_| Step::Deploy),
        ];
        steps.into_iter().flatten().collect()
    }

    /// A path of the file, from where this runs.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Where what a step makes is.
    pub(super) fn made(&self, step: Step) -> PathBuf {
        self.folder.join(&self.out).join(step.to_string())
    }
}
