//! Step 5: is it the package and version that were asked for?
//!
//! What the signed manifest says counts, not where it was found: a genuine
//! release may stand under any name in a registry.

use selvedge_artifact::{PackageName, media_type};
use semver::Version;

use crate::decision::Artifact;
use crate::{Refusal, Request};
use selvedge_artifact::foreign::cut;

/// The version, as signed.
pub(super) fn check(request: &Request, artifact: &Artifact) -> Result<Version, Refusal> {
    let signed: PackageName = annotation(
        artifact,
        media_type::PACKAGE,
        "a package, `acme/thermostat`",
    )?;
    let version: Version = annotation(artifact, media_type::VERSION, "a version, `1.2.0`")?;
    if signed != request.package {
        let asked = request.package.clone();
        return Err(Refusal::OtherPackage { asked, signed });
    }
    match &request.version {
        Some(asked) if *asked != version => {
            return Err(Refusal::OtherVersion(Box::new((asked.clone(), version))));
        }
        _ => {}
    }
    if let Some(plugin) = &artifact.config.plugin
        && (plugin.name != signed.name() || plugin.version != version)
    {
        return Err(Refusal::PluginManifest {
            found: format!("{} {}", cut(&plugin.name), plugin.version),
            signed: format!("{signed} {version}"),
        });
    }
    Ok(version)
}

fn annotation<T: std::str::FromStr>(
    artifact: &Artifact,
    annotation: &'static str,
    expected: &'static str,
) -> Result<T, Refusal> {
    let found = artifact.manifest.annotations.get(annotation);
    let found = found.ok_or(Refusal::AnnotationMissing(annotation))?;
    found.parse().map_err(|_| Refusal::AnnotationInvalid {
        annotation,
        found: cut(found),
        expected,
    })
}
