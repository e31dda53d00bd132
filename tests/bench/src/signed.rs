//! A released plugin, with a policy that lets it in: signed with a managed key,
//! and without one.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use selvedge_artifact::{Packaged, Release};
use selvedge_signer::{Instance, KeylessSigner, LocalPublisher, release};
use selvedge_signing::{Candidate, Device, Purpose, Request, Trust, VerifiedArtifact, Verifier};
use serde_json::json;

use crate::measure::one_core;
use crate::sigstore::Sigstore;
use crate::{Outcome, curl};

/// What every plugin here is called.
pub(crate) const PACKAGE: &str = "acme/thermostat";
pub(crate) const VERSION: &str = "1.0.0";
const ISSUER: &str = "https://token.actions.example";
const IDENTITY: &str = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/v1";

/// A released plugin and who decides about it.
pub(crate) struct Signed {
    pub(crate) candidate: Candidate,
    request: Request,
    verifier: Verifier,
}

impl Signed {
    /// Signed with a managed key and the timestamp of an authority.
    pub(crate) fn with_key(packaged: &Packaged) -> Outcome<Self> {
        let packages = PACKAGE.parse()?;
        let now = SystemTime::now().try_into()?;
        let (publisher, verifier) = LocalPublisher::new("acme", &packages, now)?;
        Self::new(packaged, publisher.release(packaged)?, verifier)
    }

    /// Signed with a certificate of a moment, in the log of an instance that is
    /// gone when this returns; none, said aloud, if there is no instance.
    pub(crate) fn without_key(packaged: &Packaged) -> Outcome<Option<Self>> {
        if !curl::is_there() {
            eprintln!("there is no curl, so nothing is signed without a key");
            return Ok(None);
        }
        let Some(sigstore) = Sigstore::start()? else {
            return Ok(None);
        };
        let instance = Instance {
            fulcio: sigstore.url.clone(),
            rekor: sigstore.url.clone(),
            rekor_v2: false,
            timestamp: None,
        };
        let token = sigstore.token(ISSUER, IDENTITY)?;
        let statement = release(&PACKAGE.parse()?, &packaged.digest());
        let bundle = one_core()?.block_on(async {
            let signer = KeylessSigner::new(instance, &token, &[])?;
            signer.sign(&statement).await
        })?;
        let policy = json!({
            "v": 1,
            "trust": {"private": "trusted_root.json"},
            "publishers": {
                "acme": {"trust": "private", "issuer": ISSUER, "identity": IDENTITY},
            },
            "grants": [{"packages": PACKAGE, "by": ["acme"]}],
        });
        let root = sigstore.trusted_root()?;
        let files = BTreeMap::from([("trusted_root.json".to_owned(), root.into())]);
        let trust = Trust::of_this_process(policy.to_string().as_bytes(), files)?;
        Self::new(packaged, bundle, Verifier::new(trust)?).map(Some)
    }

    fn new(packaged: &Packaged, bundle: Bytes, verifier: Verifier) -> Outcome<Self> {
        let [(_, config), (_, component)] = packaged.blobs.as_slice() else {
            return Err("a plugin has a configuration and a component".into());
        };
        Ok(Self {
            candidate: Candidate {
                manifest: packaged.manifest.clone(),
                config: config.clone(),
                layers: vec![component.clone()],
                bundles: vec![bundle],
            },
            request: Request {
                package: PACKAGE.parse()?,
                version: Some(VERSION.parse()?),
                digest: Some(packaged.digest()),
            },
            verifier,
        })
    }

    /// Decides as for an installation.
    pub(crate) fn verify(&self) -> Outcome<VerifiedArtifact> {
        self.verify_read(&self.candidate)
    }

    /// Decides about what was read from somewhere.
    pub(crate) fn verify_read(&self, candidate: &Candidate) -> Outcome<VerifiedArtifact> {
        let device = Device {
            now: SystemTime::now().try_into()?,
            purpose: Purpose::Install,
            version_seen: None,
            accepted: &[],
        };
        Ok(self.verifier.verify(&self.request, candidate, &device)?)
    }
}

/// A plugin with `component`.
pub(crate) fn package(component: Bytes) -> Outcome<Packaged> {
    let release = Release {
        package: PACKAGE.parse()?,
        version: VERSION.parse()?,
        created: None,
        summary: Default::default(),
        plugin: None,
        component,
    };
    Ok(release.package()?)
}

/// `component` with a custom section that makes it `size` bytes, of which nothing
/// compresses (binary format of WebAssembly, "Custom Section").
pub(crate) fn padded(mut component: Vec<u8>, size: usize) -> Outcome<Vec<u8>> {
    // A section's head: its kind, its length in five bytes, a name of one byte.
    const HEAD: usize = 1 + 5 + 2;
    let padding = size.checked_sub(component.len() + HEAD);
    let padding = padding.ok_or("the component is larger than that")?;
    let length = u32::try_from(padding + 2)?;
    component.push(0);
    for group in 0..5_u32 {
        let more = if group < 4 { 0x80 } else { 0 };
        component.push(((length >> (7 * group)) & 0x7f) as u8 | more);
    }
    component.extend([1, b'p']);
    component.extend(noise(padding));
    Ok(component)
}

/// Bytes like those of a program to whoever sends and hashes them: xorshift64.
pub(crate) fn noise(size: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(size)
}

#[cfg(test)]
mod tests {
    use super::{noise, padded};

    #[test]
    fn what_is_padded_has_one_section_more_and_the_size_asked_for() {
        let component = b"\0asm\x0d\0\x01\0".to_vec();
        let padded = padded(component.clone(), 1_000).unwrap();
        assert_eq!(padded.len(), 1_000);
        let section = padded.strip_prefix(component.as_slice()).unwrap();
        // 986 bytes follow the length: 0b111_1011010.
        assert_eq!(section[..8], [0, 0xda, 0x87, 0x80, 0x80, 0, 1, b'p']);
    }

    #[test]
    fn noise_does_not_repeat_itself() {
        let bytes: Vec<_> = noise(64).collect();
        assert_ne!(bytes[..32], bytes[32..]);
    }
}
