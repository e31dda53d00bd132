//! Makes `world/` and `seeds/` anew: a site with new keys, which are forgotten
//! when this ends, and what was signed for it.
//!
//! From the repository's root, so that nothing is instrumented:
//! `cargo run --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz/signer --example seeds`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fuzz::join;
use jiff::Timestamp;
use selvedge_artifact::{
    Annotations, ArtifactKind, Descriptor, Digest, Index, Packaged, PluginManifest, Release,
    attachment, media_type,
};
use selvedge_registry::Layout;
use selvedge_signer::{
    KeySigner, Lifetimes, RepositoryKeys, SigningKey, TimeSource, TimestampAuthority,
    TrustRepository, TrustedRootBuilder, attestation, release,
};
use selvedge_signing::{
    Grant, KeyPublisher, Need, Policy, Publisher, RepositoryFiles, StoredTrust, Trust,
    predicate_type,
};
use serde_json::json;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const PACKAGE: &str = "acme/thermostat";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 and then some";
const TRUSTED_ROOT: &str = "trusted_root.json";
/// When the repository is current; `world::NOW` is the same.
const NOW: Timestamp = Timestamp::constant(1_768_435_200, 0);
/// A hundred years: timestamps are checked, and must stay good.
const VALID_DAYS: u32 = 36_525;
const PLUGIN: &str = "name = 'thermostat'\nversion = '1.2.0'\ndescription = 'Keeps it warm'\n\
    licenses = 'Apache-2.0'\nsource = 'https://example.com/thermostat'\n\
    [[wants]]\nsubscribe = 'telemetry/#'\nwhy = 'the readings'\n\
    [[wants]]\nkeyvalue_bytes_max = 4096\nwhy = 'the setpoint'\n";
const KEYLESS: &str = r#"{"v":1,"trust":{"public":"public.json"},"publishers":{"acme":{"trust":"public",
"issuer":"https://token.actions.githubusercontent.com",
"identity":"https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/*",
"claims":{"source_repository_owner_identifier":"123"}}},"grants":[{"packages":"acme/*","by":["acme"],
"need":{"slsa-provenance":{}},"imports":["wasi:sockets/*","wasi:clocks/wall-clock"]}],
"floor":{"acme/thermostat":"1.1.0"},"downgrade":{"acme/thermostat":["1.1.0","1.1.1+a"]},
"revoked":{"publishers":{"acme":"2026-11-01T00:00:00Z"}}}"#;
const NAMES: [&str; 8] = [
    "acme/thermostat",
    "acme/*",
    "1.2.0-rc.1",
    "sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf",
    "registry.example:5000/mirror/acme/thermostat:1.2.0",
    "[::1]:5000/acme/thermostat@sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf",
    "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/*",
    "ci@plant.example",
];

fn main() -> Outcome {
    let people = [signer()?, signer()?, signer()?];
    let [acme, builder, mallory] = &people;
    let root = trusted_root(&people);
    let policies = [1, 2].map(|number| policy(number, acme, builder));
    let artifact = packaged()?;
    let package = PACKAGE.parse()?;
    let released = release(&package, &artifact.digest());
    let bom = json!({ "bomFormat": "CycloneDX", "components": [] });
    let bom = attestation(
        &package,
        &artifact.digest(),
        predicate_type::CYCLONEDX,
        &bom,
    );
    let bundles = [sign(acme, &released)?, sign(builder, &bom)?];
    let forged = sign(mallory, &released)?;
    let bytes = at_once(acme.sign_bytes(&artifact.manifest))?;

    let site = site(&policies, &root)?;
    for (name, bytes) in [
        ("root.json", site.root.clone()),
        (
            "policies.parts",
            join(policies.map(|policy| policy.to_bytes())),
        ),
        ("repository.parts", named(&site.files)),
        ("stored.json", serde_json::to_vec(&site.stored)?),
        ("trusted_root.json", root.clone()),
        ("acme.pem", acme.key.public_pem().into_bytes()),
        ("candidate.parts", join(parts(&artifact, &bundles))),
    ] {
        write(&folder("world"), name, &bytes)?;
    }

    let seeds = |target: &str| folder("seeds").join(target);
    for (number, part) in parts(&artifact, &bundles).iter().enumerate() {
        let nothing: &[u8] = b"";
        let before = std::iter::repeat_n(nothing, number);
        let input = join(before.chain([part.as_ref()]));
        write(&seeds("decision"), &format!("part-{number}"), &input)?;
    }
    write(
        &seeds("decision"),
        "forged",
        &join([&[][..], b"", b"", &forged]),
    )?;
    write(
        &seeds("decision"),
        "bytes",
        &join([&[][..], b"", b"", &bytes]),
    )?;
    for (name, file) in site.files.iter() {
        write(&seeds("trust"), &flat(name), &join([name.as_bytes(), file]))?;
    }
    write(&seeds("trust"), "behind", &named(&site.before))?;
    let kept = serde_json::to_value(&site.stored)?;
    write(&seeds("stored"), "all", &serde_json::to_vec(&kept)?)?;
    for (name, blob) in members(&kept) {
        let blob = STANDARD.decode(blob)?;
        write(
            &seeds("stored"),
            &flat(&name),
            &join([name.as_bytes(), &blob]),
        )?;
    }
    for (name, bytes) in [("release", &bundles[0]), ("bytes", &bytes)] {
        write(&seeds("bundle"), name, bytes)?;
    }
    for (name, bytes) in [("release", &released), ("bom", &bom)] {
        write(&seeds("statement"), name, bytes)?;
    }
    write(
        &seeds("policy"),
        "keys",
        &policy(2, acme, builder).to_bytes(),
    )?;
    write(&seeds("policy"), "keyless", KEYLESS.as_bytes())?;
    write(&seeds("manifest"), "plugin", PLUGIN.as_bytes())?;
    for (number, name) in NAMES.iter().enumerate() {
        write(&seeds("names"), &format!("{number}"), name.as_bytes())?;
    }
    archives(&artifact, &bundles[0])
}

/// One's own timestamp authority answers at once.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nobody is asked"),
    }
}

fn signer() -> Outcome<KeySigner> {
    let authority = TimestampAuthority::generate("site", NOW, VALID_DAYS)?;
    Ok(KeySigner {
        key: SigningKey::generate()?,
        time: TimeSource::Own(authority),
    })
}

fn sign(signer: &KeySigner, statement: &[u8]) -> Outcome<Bytes> {
    Ok(at_once(signer.sign(statement))?)
}

fn trusted_root(people: &[KeySigner]) -> Vec<u8> {
    let mut root = TrustedRootBuilder::default();
    for signer in people {
        if let TimeSource::Own(authority) = &signer.time {
            root = root.timestamp_authority(&authority.chain(), Timestamp::UNIX_EPOCH);
        }
    }
    root.to_bytes()
}

fn policy(number: u64, acme: &KeySigner, builder: &KeySigner) -> Policy {
    let publisher = |signer: &KeySigner| {
        Publisher::Key(KeyPublisher {
            key: signer.key.public_pem(),
            trust: "main".to_owned(),
            log: false,
        })
    };
    let name = |name: &str| name.to_owned();
    let need = Need {
        by: BTreeSet::from([name("builder")]),
    };
    Policy {
        trust: BTreeMap::from([(name("main"), name(TRUSTED_ROOT))]),
        publishers: BTreeMap::from([
            (name("acme"), publisher(acme)),
            (name("builder"), publisher(builder)),
        ]),
        grants: vec![Grant {
            packages: "acme/*".parse().expect("a pattern"),
            by: BTreeSet::from([name("acme")]),
            kinds: BTreeSet::from([ArtifactKind::Plugin]),
            need: BTreeMap::from([(name("cyclonedx"), need)]),
            imports: None,
        }],
        floor: BTreeMap::from([(
            PACKAGE.parse().expect("a name"),
            format!("1.{number}.0").parse().expect("a version"),
        )]),
        ..Policy::default()
    }
}

fn packaged() -> Outcome<Packaged> {
    let release = Release {
        package: PACKAGE.parse()?,
        version: "1.2.0".parse()?,
        created: None,
        summary: Default::default(),
        plugin: Some(PluginManifest::parse(PLUGIN)?),
        component: COMPONENT.into(),
    };
    Ok(release.package()?)
}

fn parts(artifact: &Packaged, bundles: &[Bytes]) -> Vec<Bytes> {
    let mut parts = vec![artifact.manifest.clone()];
    parts.extend(artifact.blobs.iter().map(|(_, blob)| blob.clone()));
    parts.extend_from_slice(bundles);
    parts
}

struct Site {
    root: Vec<u8>,
    /// The repository before the second policy.
    before: RepositoryFiles,
    files: RepositoryFiles,
    stored: StoredTrust,
}

/// Two policies, and new keys between them.
fn site(policies: &[Policy; 2], root: &[u8]) -> Outcome<Site> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("site");
    let key = || SigningKey::generate();
    let keys = || -> Outcome<RepositoryKeys> {
        let (root, targets) = (vec![key()?], vec![key()?]);
        let online = key()?;
        Ok(RepositoryKeys {
            root,
            targets,
            online,
        })
    };
    let (old, new) = (keys()?, keys()?);
    let targets = [(TRUSTED_ROOT.to_owned(), Bytes::copy_from_slice(root))];
    let times = Lifetimes::default();
    let mut repository = TrustRepository::create(&path, &old, &policies[0], &targets, times, NOW)?;
    let root = repository.root().to_vec();
    let before = files(&path)?;
    repository.rotate(&old.root, &new, times, NOW)?;
    repository.publish(&new, &policies[1], &targets, times, NOW)?;
    let files = files(&path)?;
    let (_, stored) = Trust::update(&root, &StoredTrust::default(), files.clone(), NOW)?;
    Ok(Site {
        root,
        before,
        files,
        stored,
    })
}

fn files(directory: &Path) -> Outcome<RepositoryFiles> {
    let mut files = RepositoryFiles::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(directory)?.to_string_lossy().into_owned();
            files.insert(name, fs_err::read(&path)?.into());
        }
    }
    Ok(files)
}

/// Names and contents by turns.
fn named(files: &RepositoryFiles) -> Vec<u8> {
    join(
        files
            .iter()
            .flat_map(|(name, file)| [name.as_bytes(), file]),
    )
}

/// What is kept, by the names that the target `stored` has for it.
fn members(kept: &serde_json::Value) -> Vec<(String, String)> {
    let mut members = Vec::new();
    let mut push = |name: &str, blob: &serde_json::Value| {
        members.push((
            name.to_owned(),
            blob.as_str().unwrap_or_default().to_owned(),
        ));
    };
    for name in ["timestamp", "snapshot", "targets"] {
        push(name, &kept[name]);
    }
    push("roots", &kept["roots"][0]);
    for (name, blob) in kept["files"].as_object().into_iter().flatten() {
        push(&format!("files/{name}"), blob);
    }
    members
}

fn archives(artifact: &Packaged, bundle: &Bytes) -> Outcome {
    let directory = tempfile::tempdir()?;
    let layout = Layout::open(&directory.path().join("layout"))?;
    for (_, blob) in &artifact.blobs {
        layout.put_blob(blob)?;
    }
    let tag = "1.2.0".parse()?;
    layout.put_manifest(&artifact.manifest, Some((PACKAGE, &tag)))?;
    let kind = media_type::SIGSTORE_BUNDLE;
    let about = attachment(
        artifact.descriptor(),
        kind,
        bundle.clone(),
        Annotations::new(),
    );
    for (_, blob) in &about.blobs {
        layout.put_blob(blob)?;
    }
    layout.put_manifest(&about.manifest, None)?;
    let mut archive = Vec::new();
    layout.export(&[artifact.digest()], &mut archive)?;
    let seeds = folder("seeds");
    write(&seeds.join("archive"), "export", &archive)?;

    let mut blobs: Vec<Bytes> = parts(artifact, &[]);
    blobs.push(about.manifest.clone());
    blobs.extend(about.blobs.iter().map(|(_, blob)| blob.clone()));
    let at = |blob: &Bytes| [Bytes::from_static(b"@"), blob.clone()];
    let made: Vec<Bytes> = blobs.iter().flat_map(at).collect();
    write(&seeds.join("archive"), "blobs", &join(&made))?;
    let path = directory.path().join("layout/index.json");
    let index = Bytes::from(fs_err::read(path)?);
    let listed: [Bytes; 2] = [Bytes::from_static(b"index.json"), index.clone()];
    write(
        &seeds.join("archive"),
        "listed",
        &join(listed.iter().chain(&made)),
    )?;
    let link: [&[u8]; 4] = [
        b"2:index.json",
        b"",
        b"x:pax",
        b"30 mtime=1700000000.000000000\n",
    ];
    write(&seeds.join("archive"), "link", &join(link))?;

    let documents = seeds.join("documents");
    write(&documents, "manifest", &artifact.manifest)?;
    write(&documents, "about", &about.manifest)?;
    write(&documents, "config", &artifact.blobs[0].1)?;
    let mut entry = Descriptor::of(media_type::MANIFEST, &artifact.manifest);
    entry.digest = Digest::of(&index);
    write(&documents, "index", &index)?;
    write(&documents, "listed", &Index::new(vec![entry]).to_bytes())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn flat(name: &str) -> String {
    name.replace('/', "-")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Outcome {
    fs_err::create_dir_all(folder)?;
    Ok(fs_err::write(folder.join(name), bytes)?)
}
