//! Models that were compiled for one device: where they may run.
//!
//! What a library makes of a model for one processor need not be right on another,
//! or for another version of the library. So what it was made for travels with the
//! model, in its metadata, and is compared before it is loaded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backend::BackendStatus;
use super::errors::LoadError;
use crate::names::Digest;
use crate::spec::BackendKind;

/// Where the metadata of a model say it.
const KEY: &str = "selvedge.compiled";
/// Bytes read of what the kernel says of the processor.
const CPUINFO_BYTES_MAX: u64 = 1 << 20;

/// From what, by what and for what a model was compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiled {
    /// SHA-256 of the model that it was made of.
    pub from: Digest,
    /// The library that made it, and the only one that may run it.
    pub backend: BackendKind,
    /// That library's version.
    pub version: String,
    /// The processor, as [`this_cpu`] names it.
    pub cpu: String,
}

impl Compiled {
    /// What the metadata of a model say, if it was compiled.
    pub fn of(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, LoadError> {
        let Some(text) = metadata.get(KEY) else {
            return Ok(None);
        };
        let compiled = serde_json::from_str(text);
        compiled
            .map(Some)
            .map_err(|error| LoadError::CompiledElsewhere {
                what: format!("its metadata `{KEY}` cannot be read: {error}"),
            })
    }

    /// The metadata that say it.
    pub fn entry(&self) -> Result<(String, String), serde_json::Error> {
        Ok((KEY.to_owned(), serde_json::to_string(self)?))
    }

    /// Whether this library on this processor is what it was made for.
    pub(super) fn check(&self, here: &BackendStatus, cpu: &str) -> Result<(), LoadError> {
        let differs = |what: &str, made: &str, here: &str| {
            let what = format!("{what} is `{}`, here it is `{}`", short(made), short(here));
            Err(LoadError::CompiledElsewhere { what })
        };
        if self.backend != here.backend {
            let names = [self.backend, here.backend].map(BackendKind::name);
            return differs("the backend that it was made for", names[0], names[1]);
        }
        let version = here.version.as_deref().unwrap_or_default();
        if self.version != version {
            return differs("the version that it was made for", &self.version, version);
        }
        if self.cpu != cpu {
            return differs("the processor that it was made for", &self.cpu, cpu);
        }
        Ok(())
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The processor that this runs on: its architecture, its name, and what it can do.
pub fn this_cpu() -> String {
    let mut text = String::new();
    if let Ok(file) = fs_err::File::open("/proc/cpuinfo") {
        // What cannot be read names no processor, and then none is the same.
        drop(std::io::Read::read_to_string(
            &mut std::io::Read::take(file, CPUINFO_BYTES_MAX),
            &mut text,
        ));
    }
    name_of(&text)
}

fn name_of(cpuinfo: &str) -> String {
    let field = |names: &[&str]| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| names.contains(&name.trim()));
        found.map_or("", |(_, value)| value.trim()).to_owned()
    };
    let mut can: Vec<String> = field(&["flags", "Features"])
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    can.sort_unstable();
    let digest = Digest::of(can.join(" ").as_bytes()).to_string();
    let digest: String = digest.chars().skip("sha256:".len()).take(16).collect();
    let name = field(&["model name", "CPU part"]);
    format!("{} {name} {digest}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMD: &str =
        "processor\t: 0\nmodel name\t: EPYC\nflags\t\t: fpu avx2\n\nmodel name\t: EPYC\n";

    fn here(version: &str) -> BackendStatus {
        BackendStatus {
            backend: BackendKind::Onnxruntime,
            version: Some(version.to_owned()),
            library: None,
            digest: None,
            formats: Vec::new(),
            providers: Vec::new(),
            unavailable: None,
        }
    }

    #[test]
    fn a_compiled_model_runs_where_it_was_made_for_and_nowhere_else() {
        let compiled = Compiled {
            from: Digest::of(b"model"),
            backend: BackendKind::Onnxruntime,
            version: "1.32.0".to_owned(),
            cpu: name_of(AMD),
        };
        let metadata = BTreeMap::from([compiled.entry().unwrap()]);
        assert_eq!(Compiled::of(&metadata).unwrap().as_ref(), Some(&compiled));
        compiled.check(&here("1.32.0"), &name_of(AMD)).unwrap();
        let refused = |status: &BackendStatus, cpu: &str| {
            let error = compiled.check(status, cpu).unwrap_err();
            assert_eq!(error.code(), "model-compiled-elsewhere");
            error.to_string()
        };
        let text = refused(&here("1.31.0"), &name_of(AMD));
        assert!(text.contains("`1.32.0`, here it is `1.31.0`"), "{text}");
        let other = name_of(&AMD.replace("avx2", "avx512f avx2"));
        let text = refused(&here("1.32.0"), &other);
        assert!(text.contains("processor"), "{text}");
        let tract = BackendStatus {
            backend: BackendKind::Tract,
            ..here("1.32.0")
        };
        assert!(refused(&tract, &name_of(AMD)).contains("backend"));
    }

    #[test]
    fn the_order_in_which_a_processor_names_its_abilities_is_no_matter() {
        assert_eq!(name_of(AMD), name_of(&AMD.replace("fpu avx2", "avx2 fpu")));
        assert_ne!(name_of(AMD), name_of(&AMD.replace("EPYC", "Xeon")));
        assert!(!this_cpu().is_empty());
    }

    #[test]
    fn metadata_that_make_no_sense_are_refused_rather_than_ignored() {
        let metadata = BTreeMap::from([(KEY.to_owned(), "{}".to_owned())]);
        assert!(Compiled::of(&metadata).is_err());
        assert_eq!(Compiled::of(&BTreeMap::new()).unwrap(), None);
    }
}
