//! The libraries that this host can run models with, and why not with the rest.
//!
//! Native libraries are loaded once, when the host starts, from absolute paths
//! and only with the digests that its configuration allows. One that cannot be
//! used is a status and stops nothing but the models that need it.

use super::backend::{Backend, BackendStatus, Unavailable};
use super::config::InferenceConfig;
use super::errors::LoadError;
use super::onnxruntime;
use super::openvino;
use super::source::ModelSource;
use super::tract::Tract;
use crate::spec::{BackendChoice, BackendKind};

/// The domain of ONNX's operators of classical models.
const CLASSICAL: &str = "ai.onnx.ml";
/// The order in which `auto` chooses.
const PREFERRED: [BackendKind; 3] = [
    BackendKind::Onnxruntime,
    BackendKind::Openvino,
    BackendKind::Tract,
];

/// The libraries of this host.
#[derive(Default)]
pub struct Backends {
    usable: Vec<Box<dyn Backend>>,
    /// Those that are configured and cannot be used, and those that are not
    /// configured.
    unusable: Vec<BackendStatus>,
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.usable.iter().map(|backend| backend.kind());
        f.debug_list().entries(kinds).finish()
    }
}

impl Backends {
    /// Those that need nothing installed.
    pub fn built_in() -> Self {
        Self::of(vec![Box::new(Tract)])
    }

    /// Those that are built in and those that `config` names. Loads libraries:
    /// their initialisers run. To be called once in a process, before it serves.
    pub fn open(config: &InferenceConfig) -> Self {
        let mut backends = Self::built_in();
        backends.add(
            BackendKind::Onnxruntime,
            &config.onnxruntime,
            onnxruntime::open,
        );
        backends.add(BackendKind::Openvino, &config.openvino, openvino::open);
        backends
    }

    /// One more, with what `open` makes of its configuration.
    fn add<C>(
        &mut self,
        backend: BackendKind,
        config: &Option<C>,
        open: impl FnOnce(&C) -> Result<Box<dyn Backend>, BackendStatus>,
    ) {
        match config.as_ref().map(open) {
            Some(Ok(usable)) => self.usable.push(usable),
            Some(Err(status)) => self.unusable.push(status),
            None => self.unusable.push(not_configured(backend)),
        }
    }

    pub(super) fn of(usable: Vec<Box<dyn Backend>>) -> Self {
        Self {
            usable,
            unusable: Vec::new(),
        }
    }

    /// What is told of each library.
    pub fn status(&self) -> Vec<BackendStatus> {
        let usable = self.usable.iter().map(|backend| backend.status());
        usable.chain(self.unusable.iter().cloned()).collect()
    }

    /// Whether one can be used here.
    pub(super) fn has(&self, kind: BackendKind) -> bool {
        self.usable.iter().any(|backend| backend.kind() == kind)
    }

    /// Those that can be used, as people read it.
    pub(super) fn names(&self) -> String {
        let names = self
            .usable
            .iter()
            .map(|it| format!("`{}`", it.kind().name()));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Of an operator that a backend lacks, says which other one has it.
    pub(super) fn say_elsewhere(&self, error: LoadError) -> LoadError {
        let LoadError::UnsupportedOperator { operator, backend } = error else {
            return error;
        };
        let (domain, short) = operator.split_once(':').unwrap_or(("", &operator));
        let others = self.usable.iter().filter(|it| it.kind() != backend);
        // Libraries often leave the domain out, and no operator is in both.
        let domains = [domain, if domain.is_empty() { CLASSICAL } else { domain }];
        let have = others.filter(|it| {
            let mut domains = domains.iter();
            domains.any(|domain| it.supports_operator(domain, short) == Some(true))
        });
        let have: Vec<_> = have.map(|it| format!("`{}`", it.kind().name())).collect();
        let here = self.has(BackendKind::Onnxruntime);
        let elsewhere = match have.as_slice() {
            [] if backend == BackendKind::Onnxruntime || here => {
                "no backend of this host is known to have it".to_owned()
            }
            [] => "`onnxruntime` has all standard operators, and this host has none".to_owned(),
            [..] => format!("{} of this host has it", have.join(" and ")),
        };
        LoadError::OperatorElsewhere {
            operator,
            backend,
            elsewhere,
        }
    }

    /// Those that may run `source`, best first.
    pub(super) fn candidates(&self, source: &ModelSource) -> Result<Vec<&dyn Backend>, LoadError> {
        let asked: &[BackendKind] = match source.backend {
            BackendChoice::Auto => &PREFERRED,
            BackendChoice::Tract => &[BackendKind::Tract],
            BackendChoice::Onnxruntime => &[BackendKind::Onnxruntime],
            BackendChoice::Openvino => &[BackendKind::Openvino],
        };
        let find = |kind: &BackendKind| {
            let mut usable = self.usable.iter();
            let found = usable.find(|backend| backend.kind() == *kind)?;
            let reads = found.formats().contains(&source.format);
            reads.then_some(found.as_ref())
        };
        let found: Vec<_> = asked.iter().filter_map(find).collect();
        match (found.is_empty(), asked) {
            (true, [backend]) => Err(self.unusable(*backend)),
            (true, _) => Err(LoadError::NoBackendFor {
                reasons: format!("its format is `{:?}`", source.format),
            }),
            (false, _) => Ok(found),
        }
    }

    fn unusable(&self, backend: BackendKind) -> LoadError {
        let mut unusable = self.unusable.iter();
        let status = unusable.find(|status| status.backend == backend);
        match status.and_then(|status| status.unavailable.as_ref()) {
            Some(why) => LoadError::BackendUnavailable {
                backend,
                why: why.reason.clone(),
            },
            None => LoadError::NoBackend { backend },
        }
    }
}

fn not_configured(backend: BackendKind) -> BackendStatus {
    BackendStatus {
        backend,
        version: None,
        library: None,
        digest: None,
        formats: Vec::new(),
        providers: Vec::new(),
        unavailable: Some(Unavailable {
            code: "not-configured".to_owned(),
            reason: "the configuration names no library".to_owned(),
            help: Some(
                "install it, and write what `selvedge backends pin LIBRARY` prints into host.toml"
                    .to_owned(),
            ),
        }),
    }
}
