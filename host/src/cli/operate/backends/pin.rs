//! `selvedge backends pin`: what host.toml has to say to allow a library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, raw};
use crate::inference::pin;
use crate::names::Digest;

/// What ONNX Runtime can have beside it.
const PROVIDERS: [&str; 3] = ["cuda", "tensorrt", "openvino"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The library: `libonnxruntime.so.1.32.0`, `libopenvino_c.so.2641` and the like.
    /// Everything beside it is pinned too.
    #[arg(value_name = "LIBRARY")]
    library: PathBuf,
    /// Print the same as JSON.
    #[arg(long)]
    json: bool,
}

/// A section of host.toml, as far as it follows from the library alone.
#[derive(Debug, Serialize)]
struct Section<'a> {
    library: &'a Path,
    files: &'a BTreeMap<String, Digest>,
}

/// The same for programs.
#[derive(Debug, Serialize)]
struct Pinned<'a> {
    /// Which section of `inference` it is.
    backend: &'static str,
    #[serde(flatten)]
    section: Section<'a>,
    /// What may be added to the section, and is not by itself: each lets the
    /// library use more than the processor.
    choices: Choices,
}

#[derive(Debug, Default, Serialize)]
struct Choices {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<bool>,
}

impl<'a> Pinned<'a> {
    fn new(backend: &'static str, library: &'a Path, files: &'a BTreeMap<String, Digest>) -> Self {
        let named = |provider: &&str| {
            files.contains_key(&format!("libonnxruntime_providers_{provider}.so"))
        };
        let choices = match backend {
            "onnxruntime" => Choices {
                providers: PROVIDERS.into_iter().filter(named).collect(),
                gpu: None,
            },
            "openvino" => Choices {
                gpu: Some(true),
                ..Choices::default()
            },
            _ => Choices::default(),
        };
        Self {
            backend,
            section: Section { library, files },
            choices,
        }
    }

    /// The lines of host.toml.
    fn text(&self) -> Outcome<String> {
        let section = self.backend;
        let inner = BTreeMap::from([(section, &self.section)]);
        let mut text = toml::to_string(&BTreeMap::from([("inference", inner)]))?;
        // An empty table above its only one says nothing.
        if let Some(rest) = text.strip_prefix("[inference]\n") {
            text = rest.trim_start().to_owned();
        }
        let mut choice = String::new();
        if !self.choices.providers.is_empty() {
            let providers: Vec<_> = self
                .choices
                .providers
                .iter()
                .map(|it| format!("\"{it}\""))
                .collect();
            choice = format!(
                "# It could compute with more than the processor; to let it:\n# providers = [{}]\n",
                providers.join(", ")
            );
        }
        if let Some(gpu) = self.choices.gpu {
            choice += &format!("# To let it use a graphics processor:\n# gpu = {gpu}\n");
        }
        // Before the table of files, where it belongs to the section.
        let files = format!("\n[inference.{section}.files]\n");
        Ok(text.replacen(&files, &format!("{choice}{files}"), 1))
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = std::path::absolute(&args.library)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let backend = section_of(&name)?;
    let files = pin(&path).map_err(|error| {
        let help = error.help(&path);
        Failure::new(error, Some(help))
    })?;
    let path = fs_err::canonicalize(&path)?;
    let pinned = Pinned::new(backend, &path, &files);
    if args.json {
        json(&pinned)?;
    } else {
        raw(&pinned.text()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The section that a library of that name belongs to.
fn section_of(name: &str) -> Outcome<&'static str> {
    if name.starts_with("libonnxruntime.so") {
        return Ok("onnxruntime");
    }
    if name.starts_with("libopenvino_c.so") {
        return Ok("openvino");
    }
    let usage = Failure::usage("the library is neither ONNX Runtime nor OpenVINO, by its name");
    Err(usage.with_hint("name `libonnxruntime.so.…` or `libopenvino_c.so.…`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Path, Pinned, section_of};
    use crate::inference::InferenceConfig;
    use crate::names::Digest;

    #[test]
    fn what_is_printed_is_what_the_configuration_reads() {
        for (section, library) in [
            ("onnxruntime", "/opt/o/libonnxruntime.so.1.32.0"),
            ("openvino", "/opt/a \"b\"/libopenvino_c.so.2641"),
        ] {
            let files = [
                ("libonnxruntime_providers_cuda.so", b"a".as_slice()),
                ("libother.so.1", b"b"),
            ];
            let files = files.map(|(name, bytes)| (name.to_owned(), Digest::of(bytes)));
            let files = files.into();
            let pinned = Pinned::new(section, Path::new(library), &files);
            let printed = pinned.text().unwrap();
            assert!(
                printed.starts_with(&format!("[inference.{section}]\n")),
                "{printed}"
            );
            // With and without what is suggested.
            for printed in [
                printed.clone(),
                printed
                    .replace("# providers", "providers")
                    .replace("# gpu", "gpu"),
            ] {
                let mut read: toml::Table = toml::from_str(&printed).unwrap();
                let inference = read.remove("inference").unwrap();
                let config: InferenceConfig = inference.try_into().unwrap();
                let onnxruntime = config.onnxruntime.map(|it| (it.library, it.files));
                let openvino = config.openvino.map(|it| (it.library, it.files));
                let (read, digests) = onnxruntime.or(openvino).unwrap();
                assert_eq!(read, Path::new(library));
                assert_eq!(digests.len(), 2);
            }
        }
    }

    #[test]
    fn programs_are_told_the_same_and_what_may_be_added() {
        let files = ["libonnxruntime_providers_cuda.so", "libother.so.1"];
        let files = files.map(|name| (name.to_owned(), Digest::of(name.as_bytes())));
        let files = files.into();
        for (backend, choices) in [
            ("onnxruntime", json!({ "providers": ["cuda"] })),
            ("openvino", json!({ "gpu": true })),
        ] {
            let pinned = Pinned::new(backend, Path::new("/opt/l.so"), &files);
            let told = serde_json::to_value(&pinned).unwrap();
            let mut read: toml::Table = toml::from_str(&pinned.text().unwrap()).unwrap();
            let mut section = read.remove("inference").unwrap()[backend].clone();
            let section = section.as_table_mut().unwrap();
            section.insert("backend".to_owned(), backend.into());
            let mut section = serde_json::to_value(section).unwrap();
            section["choices"] = choices;
            assert_eq!(told, section);
        }
    }

    #[test]
    fn a_library_is_told_by_its_name() {
        assert_eq!(
            section_of("libonnxruntime.so.1.32.0").unwrap(),
            "onnxruntime"
        );
        assert_eq!(section_of("libopenvino_c.so").unwrap(), "openvino");
        for other in [
            "libopenvino.so.2641",
            "libonnxruntime_providers_shared.so",
            "libm.so.6",
            "",
        ] {
            section_of(other).unwrap_err();
        }
    }
}
