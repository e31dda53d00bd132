//! A site of its own for each test: keys, a policy that knows two of them, and a
//! released artifact.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, Manifest, PluginManifest, Release};
use selvedge_signer::{
    KeySigner, SigningKey, TimeSource, TimestampAuthority, TrustedRootBuilder, attestation,
};
use selvedge_signing::{
    Candidate, Device, Grant, KeyPublisher, Need, Policy, Publisher, Purpose, Refusal, Request,
    Step, Trust, VerifiedArtifact, Verifier, predicate_type,
};
use serde_json::json;

pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 and then some";
pub(crate) const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Three people with keys, of whom the policy knows two.
pub(crate) struct People {
    pub(crate) acme: KeySigner,
    pub(crate) builder: KeySigner,
    pub(crate) mallory: KeySigner,
}

/// A policy, who signs by it, and an artifact.
pub(crate) struct Site {
    pub(crate) people: People,
    pub(crate) root: Bytes,
    pub(crate) policy: Policy,
    pub(crate) candidate: Candidate,
}

pub(crate) fn signer(name: &str) -> KeySigner {
    let authority = TimestampAuthority::generate(name, Timestamp::now(), 10).unwrap();
    KeySigner {
        key: SigningKey::generate().unwrap(),
        time: TimeSource::Own(authority),
    }
}

/// One's own timestamp authority answers at once.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something"),
    }
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn publisher(signer: &KeySigner) -> Publisher {
    Publisher::Key(KeyPublisher {
        key: signer.key.public_pem(),
        trust: "main".to_owned(),
        log: false,
    })
}

pub(crate) fn grant(packages: &str, by: &[&str]) -> Grant {
    Grant {
        packages: packages.parse().unwrap(),
        by: names(by),
        kinds: [ArtifactKind::Plugin].into(),
        need: BTreeMap::new(),
        imports: None,
    }
}

pub(crate) fn packaged(package: &str, version: &str, component: &'static [u8]) -> Candidate {
    let package: selvedge_artifact::PackageName = package.parse().unwrap();
    let plugin = format!("name = '{}'\nversion = '{version}'\n", package.name());
    let release = Release {
        package,
        version: version.parse().unwrap(),
        created: None,
        summary: Default::default(),
        plugin: Some(PluginManifest::parse(&plugin).unwrap()),
        component: component.into(),
    };
    let packaged = release.package().unwrap();
    Candidate {
        manifest: packaged.manifest,
        config: packaged.blobs[0].1.clone(),
        layers: vec![packaged.blobs[1].1.clone()],
        bundles: Vec::new(),
    }
}

impl Site {
    /// `acme` may release `acme/*`, and has released `acme/thermostat` 1.2.0.
    pub(crate) fn new() -> Self {
        let people = People {
            acme: signer("acme"),
            builder: signer("builder"),
            mallory: signer("mallory"),
        };
        let mut root = TrustedRootBuilder::default();
        for signer in [&people.acme, &people.builder, &people.mallory] {
            if let TimeSource::Own(authority) = &signer.time {
                root = root.timestamp_authority(&authority.chain(), Timestamp::UNIX_EPOCH);
            }
        }
        let mut policy = Policy::default();
        let target = "trusted_root.json".to_owned();
        policy.trust.insert("main".to_owned(), target);
        let acme = publisher(&people.acme);
        policy.publishers.insert("acme".to_owned(), acme);
        let builder = publisher(&people.builder);
        policy.publishers.insert("builder".to_owned(), builder);
        policy.grants.push(grant("acme/*", &["acme"]));
        let mut site = Self {
            root: root.to_bytes().into(),
            people,
            policy,
            candidate: packaged("acme/thermostat", "1.2.0", COMPONENT),
        };
        site.release(|people| &people.acme);
        site
    }

    pub(crate) fn state(&mut self, by: fn(&People) -> &KeySigner, predicate_type: &str) {
        let package = "acme/thermostat".parse().unwrap();
        let digest = Digest::of(&self.candidate.manifest);
        let statement = attestation(&package, &digest, predicate_type, &json!({}));
        let bundle = at_once(by(&self.people).sign(&statement)).unwrap();
        self.candidate.bundles.push(bundle);
    }

    pub(crate) fn release(&mut self, by: fn(&People) -> &KeySigner) {
        self.state(by, predicate_type::RELEASE);
    }

    /// Another artifact in place of the first, released by `acme`.
    pub(crate) fn replace(&mut self, candidate: Candidate) {
        self.candidate = candidate;
        self.release(|people| &people.acme);
    }

    pub(crate) fn edit_manifest(&mut self, edit: impl FnOnce(&mut Manifest)) {
        let mut manifest = Manifest::parse(&self.candidate.manifest).unwrap();
        edit(&mut manifest);
        self.replace(Candidate {
            manifest: manifest.to_bytes().into(),
            bundles: Vec::new(),
            ..self.candidate.clone()
        });
    }

    pub(crate) fn verifier(&self) -> Verifier {
        let files = BTreeMap::from([("trusted_root.json".to_owned(), self.root.clone())]);
        Verifier::new(Trust::of_this_process(&self.policy.to_bytes(), files).unwrap()).unwrap()
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            package: "acme/thermostat".parse().unwrap(),
            version: Some("1.2.0".parse().unwrap()),
            digest: Some(Digest::of(&self.candidate.manifest)),
        }
    }

    pub(crate) fn verify_for(
        &self,
        purpose: Purpose,
        seen: Option<&str>,
    ) -> Result<VerifiedArtifact, Refusal> {
        let seen = seen.map(|seen| seen.parse().unwrap());
        let device = Device {
            now: Timestamp::now(),
            purpose,
            version_seen: seen.as_ref(),
            accepted: &[],
        };
        let request = self.request();
        self.verifier().verify(&request, &self.candidate, &device)
    }

    pub(crate) fn verify(&self) -> Result<VerifiedArtifact, Refusal> {
        self.verify_for(Purpose::Install, None)
    }

    pub(crate) fn refused(&self) -> Refusal {
        self.verify().expect_err("it must be refused")
    }

    #[track_caller]
    pub(crate) fn is_refused(&self, step: Step, code: &str) {
        let refusal = self.refused();
        assert_eq!((refusal.step(), refusal.code()), (step, code), "{refusal}");
    }
}

/// Where a bill of materials is needed, stated by one of `by`.
pub(crate) fn needing(by: &[&str]) -> Site {
    let mut site = Site::new();
    let need = Need { by: names(by) };
    site.policy.grants[0]
        .need
        .insert("cyclonedx".to_owned(), need);
    site
}

/// What an operator is told: the message and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
