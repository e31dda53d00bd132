//! What should run, as an operator writes it: plugins, their grants and limits,
//! and the models they load.
//!
//! [`Document::check`] is the only way to get a [`Document`], so one that
//! exists is within the host's ceilings and agrees with itself. All faults of a
//! file are reported at once. Whether the components may be trusted, and
//! whether they import more than they are granted, is decided later; for that,
//! [`Document::place_of`] finds the line of each part.
//!
//! Editors complete and explain the fields where the file begins with
//! `#:schema <path>/host/schemas/deployment.schema.json` (taplo, Even Better TOML).

pub mod ceilings;
pub mod component_source;
pub mod fault;
pub mod handed;
pub mod place;
pub mod probation;
pub mod source;
pub mod version;

mod files;
mod free_table;
pub(crate) mod piece;
mod reader;
mod rings;
mod rules;
pub(crate) mod shape;
pub(crate) mod suggest;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::names::{Digest, PartyName, PluginName, Reference};
use crate::spec::{
    BackendChoice, CaptureOptions, Grants, Limits, Models, RunOptions, ShadowOptions, Target,
};

use self::ceilings::Ceilings;
use self::component_source::{ComponentSource, FilePath};
use self::fault::{Checked, Collector, Faults, Location};
use self::handed::Files;
use self::place::{Place, Places};
use self::probation::Probation;
use self::reader::Reader;
use self::shape::Shape;
use self::source::Source;
use self::version::Version;

/// A deployment: the plugins that run together on one host, and their models.
///
/// Only its name and version are required. Everything that a plugin may reach
/// is granted here, and everything it may cost is limited here.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Document {
    /// What the deployment is called, in status and in the cloud.
    pub name: DeploymentName,
    /// Its version, by Semantic Versioning.
    pub version: Version,
    /// The plugins, by the names they have on the bus.
    #[schemars(default)]
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// The models that plugins may be granted.
    #[schemars(default)]
    pub models: Models<Model>,
    /// How long it is watched before it stays.
    #[schemars(default)]
    pub probation: Probation,
    #[serde(skip)]
    origin: Origin,
}

/// One plugin of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Plugin {
    /// Where the plugin comes from: an artifact by its reference with its
    /// digest, `registry.example/acme/thermostat:1.2.0@sha256:…`;
    /// `shipped:<name>` for one that comes with the host; or, for `selvedge dev`
    /// alone, a component's file, relative to this document or to a plugin
    /// directory of the host.
    pub component: ComponentSource,
    /// SHA-256 of the component's bytes. If given, no other component is run.
    #[schemars(default)]
    pub digest: Option<Digest>,
    /// What the plugin reads as its configuration. Any values except NaN and
    /// infinity; dates and times arrive as RFC 3339 text.
    #[schemars(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// What it may reach. Nothing, unless named.
    #[schemars(default)]
    pub grants: Grants,
    /// What it may cost, within the ceilings of the host.
    #[schemars(default)]
    pub limits: Limits,
}

/// One model of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Model {
    /// Where the model comes from: an artifact by its reference with its digest,
    /// `registry.example/acme/pump-health:1.2.0@sha256:…`. This or `path`.
    #[schemars(default, with = "Option<String>")]
    pub artifact: Option<Reference>,
    /// The model's file, relative to this document: for `selvedge dev` alone,
    /// since nobody has signed it.
    #[schemars(default)]
    pub path: Option<FilePath>,
    /// SHA-256 of the model's file. If given, no other file is loaded.
    #[schemars(default)]
    pub digest: Option<Digest>,
    /// A file with an input and the output it must give, relative to this
    /// document. If given, a model that computes otherwise is refused; what an
    /// artifact brings along is checked besides.
    #[schemars(default)]
    pub golden: Option<FilePath>,
    /// The library that runs it; else as the artifact says, else `auto`.
    #[schemars(default)]
    pub backend: Option<BackendChoice>,
    /// The processor it runs on; else as the artifact says, else `cpu`.
    #[schemars(default)]
    pub target: Option<Target>,
    /// How it is run; else as the artifact says. All of it: what is left out here
    /// has its default.
    #[schemars(default)]
    pub run: Option<RunOptions>,
    /// Another model of this deployment that is tried out beside it.
    #[schemars(default)]
    pub shadow: Option<ShadowOptions>,
    /// What of its runs is captured for training. Without it, nothing ever is.
    #[schemars(default)]
    pub capture: Option<CaptureOptions>,
}

/// What a deployment is called: formed as the name of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct DeploymentName(PluginName);

/// What of the host a document is judged by.
#[derive(Clone, Debug)]
pub struct Site {
    pub ceilings: Ceilings,
    /// The largest message of the bus.
    pub message_bytes_max: u64,
    /// The plugins that come with the binary.
    pub shipped: BTreeMap<PluginName, Digest>,
    /// Where components are looked for after the folder of the document.
    pub plugin_directories: Vec<PathBuf>,
    /// Names on the bus that the host's uplinks have.
    pub uplinks: BTreeSet<PartyName>,
}

/// The text that a document was read from, and where its parts are in it.
#[derive(Clone, Debug)]
struct Origin {
    source: Arc<Source>,
    places: Places,
    files: Files,
}

impl Document {
    /// The names that only a deployment document has at its top.
    pub(crate) const FIELDS: [&str; 5] = ["name", "version", "plugins", "models", "probation"];

    /// Reads a document and judges it by the host it is for.
    ///
    /// # Errors
    ///
    /// All faults, in the order of the file, if any of them is an error.
    pub fn check(source: &Arc<Source>, site: &Site) -> Result<Checked<Self>, Faults> {
        Self::check_with(source, site, Files::Beside)
    }

    /// The same for a document whose files are where `files` says.
    ///
    /// # Errors
    ///
    /// All faults, in the order of the file, if any of them is an error.
    pub fn check_with(
        source: &Arc<Source>,
        site: &Site,
        files: Files,
    ) -> Result<Checked<Self>, Faults> {
        let mut faults = Collector::new(source);
        let mut places = Places::default();
        let Some(tree) = source.tree(&mut faults) else {
            return faults.finish(None);
        };
        let mut root = tree.into_inner();
        let schema = Self::schema();
        Shape::new(&schema, &mut faults, &mut places).prune(&mut root);
        let parts = Reader::new(source, site, &places, &mut faults);
        let parts = parts.with_files(&files).read(root);
        let document = parts.map(|parts| Self {
            name: parts.name,
            version: parts.version,
            plugins: parts.plugins,
            models: parts.models,
            probation: parts.probation,
            origin: Origin {
                source: Arc::clone(source),
                places,
                files,
            },
        });
        faults.finish(document)
    }

    /// The JSON Schema of a document, for editors.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Where a part was written; if it was left to its default, where the part
    /// around it was.
    pub fn place_of(&self, place: Place<'_>) -> Location {
        self.origin.source.locate(self.origin.places.offset(place))
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        self.origin.source.file()
    }

    /// Where its files are.
    pub fn files(&self) -> &Files {
        &self.origin.files
    }

    /// Where the file is that `path` names, if it is there. `directories` are
    /// looked through too, unless it was handed in.
    pub fn find(&self, path: &FilePath, directories: &[PathBuf]) -> Option<PathBuf> {
        self.origin.files.find(path, self.folder(), directories)
    }

    /// The bytes that `model` is made from, as far as the document says: the
    /// digest of its artifact, else that of its file.
    pub(crate) fn model_digest(&self, model: &Model) -> Option<Digest> {
        let artifact = model.artifact.as_ref().and_then(Reference::digest);
        let path = model.path.as_ref();
        let handed = || path.and_then(|path| self.files().digest(path));
        artifact.or_else(handed).or(model.digest)
    }

    /// The folder that its paths are relative to.
    pub fn folder(&self) -> &Path {
        self.file().parent().unwrap_or(Path::new(""))
    }
}

impl DeploymentName {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::fmt::Display for DeploymentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for DeploymentName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeploymentName".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        PluginName::json_schema(generator)
    }
}

#[cfg(test)]
mod tests;
