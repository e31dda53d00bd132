//! What needs a process of its own: another library, or a crash that must count
//! as a failure and not end the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{
    Backends, Bytes, InferenceConfig, Instant, ModelStore, PLAIN, Provider, RunOptions, Target,
    WITH_OPENVINO, assert_same, autoencoder, chain, config, double, inputs, limits, open, peer,
    source, store,
};
use crate::inference::onnx_writer::FLOAT;
use crate::inference::{Device, LoadError, ModelSource, Unavailable};

const CHILD: &str = "SELVEDGE_TEST_ONNXRUNTIME_CHILD";
const GPU: &str = "SELVEDGE_TEST_ONNXRUNTIME_GPU";

/// Runs the test of that name again in a process of its own, which must succeed;
/// says whether this is that process.
fn is_the_child(test: &str) -> bool {
    is_the_child_with(test, &[])
}

fn is_the_child_with(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = || output.reopen().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("inference::onnxruntime::tests::children::{test}"))
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .stdout(file())
        .stderr(file())
        .status()
        .unwrap();
    let said = fs_err::read_to_string(output.path()).unwrap();
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Different each time it is asked, the same in each run.
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap()
}

#[test]
fn three_thousand_damaged_models_do_not_end_the_process() {
    if peer(PLAIN).is_none() {
        return;
    }
    if !is_the_child("three_thousand_damaged_models_do_not_end_the_process") {
        return;
    }
    let store = store().unwrap();
    let whole = [
        autoencoder(),
        Bytes::from_static(include_bytes!("../../../demo/assets/pump.onnx")),
    ];
    let (mut refused, mut state) = (0, 0x5e1f_ed6e);
    for round in 0..3_000 {
        let mut bytes = whole[round % 2].to_vec();
        match round % 5 {
            0 => bytes.truncate(xorshift(&mut state) % bytes.len()),
            1 => {
                // The structure, which is at both ends.
                let at = xorshift(&mut state) % 400;
                let at = if round % 2 == 0 {
                    at
                } else {
                    bytes.len() - 1 - at
                };
                bytes[at] = u8::try_from(xorshift(&mut state) % 256).unwrap();
            }
            _ => {
                let at = xorshift(&mut state) % bytes.len();
                bytes[at] ^= 1 << (xorshift(&mut state) % 8);
            }
        }
        refused += u32::from(store.prepare(&source(bytes.into())).is_err());
    }
    println!("{refused} of 3000 refused");
    assert!(refused > 600, "{refused}");
    store.prepare(&source(autoencoder())).unwrap();
}

#[tokio::test]
async fn openvino_computes_on_the_processor_in_full_precision() {
    if peer(WITH_OPENVINO).is_none() {
        return;
    }
    if !is_the_child("openvino_computes_on_the_processor_in_full_precision") {
        return;
    }
    let library = peer(WITH_OPENVINO).unwrap();
    let inference = InferenceConfig {
        onnxruntime: Some(config(library, &[Provider::Openvino])),
        ..InferenceConfig::default()
    };
    let store = ModelStore::with(limits(), Backends::open(&inference));
    let status = store.backends().status();
    let ours = status
        .iter()
        .find(|status| status.version.as_deref() == Some("1.24.1"));
    let providers = &ours.unwrap().providers;
    let on = |device| {
        let mut found = providers.iter();
        let found = found.find(|one| one.provider == "openvino" && one.device == device);
        found.unwrap().unavailable.clone()
    };
    assert_eq!(on(Device::Cpu), None);
    if let Some(why) = on(Device::Gpu) {
        let target = |target| {
            store.prepare(&ModelSource {
                target,
                ..source(autoencoder())
            })
        };
        let error = target(Target::Gpu).unwrap_err();
        assert!(matches!(error, LoadError::NoDevice { .. }), "{error}");
        let degraded = target(Target::GpuPreferred).unwrap();
        assert!(degraded.degraded());
        assert_eq!(degraded.placement().provider, "cpu");
        assert_eq!(why.code, "no-device");
        assert!(why.reason.contains("OpenVINO"), "{}", why.reason);
    }

    let options = RunOptions {
        provider: Some(Provider::Openvino),
        ..RunOptions::default()
    };
    for bytes in [autoencoder(), double(FLOAT, &["2", "n"])] {
        let with = store.prepare(&ModelSource {
            options,
            ..source(bytes.clone())
        });
        let with = with.unwrap();
        assert_eq!(with.placement().provider, "openvino");
        assert!(with.placement().whole);
        let without = store.prepare(&source(bytes)).unwrap();
        assert_eq!(without.placement().provider, "cpu");
        for rows in [1, 5] {
            assert_same(&with, &without, rows).await;
        }
    }
}

/// Where a graphics processor of NVIDIA is: the library's path is in the variable.
#[tokio::test]
async fn a_graphics_processor_computes_the_same_and_sooner() {
    let Some(library) = std::env::var_os(GPU) else {
        println!("skipped: {GPU} names no ONNX Runtime for a graphics processor");
        return;
    };
    if !is_the_child("a_graphics_processor_computes_the_same_and_sooner") {
        return;
    }
    let inference = InferenceConfig {
        onnxruntime: Some(config(library.into(), &[Provider::Cuda])),
        ..InferenceConfig::default()
    };
    let store = ModelStore::with(limits(), Backends::open(&inference));
    let on = |target, bytes: Bytes| {
        let source = ModelSource {
            target,
            ..source(bytes)
        };
        store.prepare(&source).unwrap()
    };
    let there = on(Target::Gpu, autoencoder());
    assert_eq!(there.device(), Device::Gpu);
    assert_eq!(there.placement().provider, "cuda");
    assert!(there.placement().whole);
    assert!(!on(Target::GpuPreferred, autoencoder()).degraded());
    assert_same(&there, &on(Target::Cpu, autoencoder()), 32).await;

    let mut took = Vec::new();
    for target in [Target::Gpu, Target::Cpu] {
        let model = on(target, chain(40));
        let started = Instant::now();
        for _ in 0..3 {
            model.run(inputs(&model, 512), None).await.unwrap();
        }
        took.push(started.elapsed());
    }
    println!("3 x 40 products of 512 x 512 on both: {took:?}");
    assert!(took[0] < took[1], "{took:?}");
}

/// A folder that nobody else can write to, with `bytes` as a library.
fn installed(bytes: &[u8]) -> (TempDir, PathBuf) {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let library = folder.path().join("libonnxruntime.so.1.22.0");
    write(&library, bytes);
    (folder, library)
}

fn write(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::write(path, bytes).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

fn why_not(library: &Path) -> Unavailable {
    let status = open(&config(library.to_owned(), &[]))
        .map(drop)
        .unwrap_err();
    assert_eq!(status.library.as_deref(), Some(library));
    status.unavailable.unwrap()
}

/// A library that says it is that version, as the linker of this machine makes it.
fn library_of_version(version: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("old.c");
    let text = format!(
        "static const void *api(unsigned n) {{ return 0; }}\n\
         static const char *version(void) {{ return \"{version}\"; }}\n\
         static const void *base[] = {{ api, version }};\n\
         const void *OrtGetApiBase(void) {{ return base; }}\n"
    );
    fs_err::write(&code, text).unwrap();
    let made = folder.path().join("old.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&made, &code])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: there is no compiler for C");
        return None;
    }
    Some(fs_err::read(made).unwrap())
}

#[test]
fn a_library_that_cannot_be_used_is_a_status_and_the_next_one_is_tried() {
    let Some(good) = peer(PLAIN) else { return };
    if !is_the_child("a_library_that_cannot_be_used_is_a_status_and_the_next_one_is_tried") {
        return;
    }
    let (_folder, text) = installed("this is a text. ".repeat(100).as_bytes());
    let why = why_not(&text);
    assert_eq!(why.code, "library-not-a-library");
    assert!(why.reason.contains("invalid ELF header"), "{}", why.reason);

    if let Some(bytes) = library_of_version("1.21.1") {
        let (_folder, old) = installed(&bytes);
        let why = why_not(&old);
        assert_eq!(why.code, "library-too-old");
        assert!(why.reason.contains("1.21.1"), "{}", why.reason);
        assert!(why.help.unwrap().contains("selvedge backends pin"));
    }
    // One that is a library of something else.
    let other = good.with_file_name("libonnxruntime_providers_shared.so");
    if other.exists() {
        let (_folder, other) = installed(&fs_err::read(other).unwrap());
        let why = why_not(&other);
        assert_eq!(why.code, "library-not-a-library");
        assert!(why.reason.contains("OrtGetApiBase"), "{}", why.reason);
    }
    let missing = open(&super::OnnxruntimeConfig {
        library: "/nowhere/libonnxruntime.so".into(),
        ..config(good.clone(), &[])
    });
    let why = missing.map(drop).unwrap_err().unavailable.unwrap();
    assert_eq!(why.code, "library-missing");

    open(&config(good, &[])).unwrap();
}

#[test]
fn a_library_that_is_replaced_after_the_start_is_told() {
    let Some(good) = peer(PLAIN) else { return };
    if !is_the_child("a_library_that_is_replaced_after_the_start_is_told") {
        return;
    }
    let (folder, library) = installed(&fs_err::read(good).unwrap());
    let backend = open(&config(library.clone(), &[])).unwrap();
    assert_eq!(backend.status().unavailable, None);

    let newer = folder.path().join("newer");
    write(&newer, b"newer");
    fs_err::rename(newer, &library).unwrap();
    let why = backend.status().unavailable.unwrap();
    assert_eq!(why.code, "library-replaced");
    assert!(why.help.unwrap().contains("start the host again"));
    // What was loaded goes on; what lies there now is not loaded beside it.
    let load = |backend: &dyn crate::inference::Backend| {
        backend.load(&source(autoencoder()), Device::Cpu, &limits())
    };
    load(backend.as_ref()).map(drop).unwrap();
    assert_eq!(why_not(&library).code, "library-another-loaded");
}

#[test]
fn a_variable_that_would_change_what_the_library_does_is_refused() {
    let Some(good) = peer(PLAIN) else { return };
    let test = "a_variable_that_would_change_what_the_library_does_is_refused";
    let (folder, other) = installed(b"another library of the same name");
    fs_err::rename(other, folder.path().join(good.file_name().unwrap())).unwrap();
    let folder = folder.path().to_str().unwrap();
    for variables in [
        [("ORT_LOAD_CONFIG_FROM_MODEL", "1")],
        [("LD_LIBRARY_PATH", folder)],
    ] {
        if is_the_child_with(test, &variables) {
            let why = why_not(&good);
            assert_eq!(why.code, "library-environment");
            return;
        }
    }
}
