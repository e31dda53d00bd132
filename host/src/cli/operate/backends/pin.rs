//! `selvedge backends pin`: what host.toml has to say to allow a library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::raw;
use crate::inference::pin;
use crate::names::Digest;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The library: `libonnxruntime.so.1.32.0`, `libopenvino_c.so.2641` and the like.
    /// Everything beside it is pinned too.
    #[arg(value_name = "LIBRARY")]
    library: PathBuf,
}

/// A section of host.toml, as far as it follows from the library alone.
#[derive(Debug, Serialize)]
struct Section<'a> {
    library: &'a Path,
    files: &'a BTreeMap<String, Digest>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = std::path::absolute(&args.library)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let section = section_of(&name)?;
    let files = pin(&path).map_err(|error| {
        let help = error.help(&path);
        Failure::new(error, Some(help))
    })?;
    let path = fs_err::canonicalize(&path)?;
    raw(&text(section, &path, &files)?)?;
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

fn text(section: &str, library: &Path, files: &BTreeMap<String, Digest>) -> Outcome<String> {
    let inner = BTreeMap::from([(section, Section { library, files })]);
    let mut text = toml::to_string(&BTreeMap::from([("inference", inner)]))?;
    // An empty table above its only one says nothing.
    if let Some(rest) = text.strip_prefix("[inference]\n") {
        text = rest.trim_start().to_owned();
    }
    let named = |provider: &str| {
        let name = format!("libonnxruntime_providers_{provider}.so");
        files.contains_key(&name).then(|| format!("\"{provider}\""))
    };
    let providers: Vec<_> = ["cuda", "tensorrt", "openvino"]
        .into_iter()
        .filter_map(named)
        .collect();
    let choice = match section {
        "onnxruntime" if !providers.is_empty() => {
            format!(
                "# It could compute with more than the processor; to let it:\n# providers = [{}]\n",
                providers.join(", ")
            )
        }
        "openvino" => "# To let it use a graphics processor:\n# gpu = true\n".to_owned(),
        _ => String::new(),
    };
    // Before the table of files, where it belongs to the section.
    let files = format!("\n[inference.{section}.files]\n");
    Ok(text.replacen(&files, &format!("{choice}{files}"), 1))
}

#[cfg(test)]
mod tests {
    use super::{Path, section_of, text};
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
            let printed = text(section, Path::new(library), &files.into()).unwrap();
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
                let (read, pinned) = onnxruntime.or(openvino).unwrap();
                assert_eq!(read, Path::new(library));
                assert_eq!(pinned.len(), 2);
            }
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
