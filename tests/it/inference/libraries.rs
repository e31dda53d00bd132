//! Libraries that cannot be used: the host starts, says why and what to do, refuses
//! the models that need them, and runs the rest.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use selvedge::deployment::report::Phase;
use selvedge::inference::config::{InferenceConfig, OnnxruntimeConfig};
use selvedge::inference::pin;
use selvedge::names::Digest;
use serde_json::Value;
use tempfile::TempDir;

use crate::deployments::world::{Device, Line};
use crate::process::{Process, run, selvedge, text};
use crate::updates::onnx_writer::autoencoder;

/// A folder that nobody else can write to, with a library that is none.
fn installed() -> (TempDir, PathBuf) {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let library = folder.path().join("libonnxruntime.so.1.99.0");
    write(&library, &b"this is a text. ".repeat(64), 0o644);
    (folder, library)
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs_err::write(path, bytes).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn config(library: &Path) -> InferenceConfig {
    InferenceConfig {
        onnxruntime: Some(OnnxruntimeConfig {
            files: pin(library).unwrap_or_default(),
            library: library.to_owned(),
            providers: Vec::new(),
            gpu_bytes_max: 1 << 30,
        }),
        ..InferenceConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_that_cannot_be_used_stops_only_the_models_that_need_it() {
    let missing = config(Path::new("/nowhere/libonnxruntime.so"));
    let (_text, library) = installed();
    let mut another = config(&library);
    let files = &mut another.onnxruntime.as_mut().unwrap().files;
    files
        .values_mut()
        .for_each(|digest| *digest = Digest::of(b"another"));
    let (folder, beside) = installed();
    let unlisted = config(&beside);
    write(&folder.path().join("libextra.so.1"), b"\x7fELF", 0o644);
    let (_folder, open) = installed();
    let writable = config(&open);
    write(&open, b"\x7fELF", 0o666);
    let cases = [
        (
            missing,
            "library-missing",
            "there is no /nowhere/libonnxruntime.so",
        ),
        (another, "library-digest", "has the digest"),
        (
            unlisted,
            "library-unlisted-file",
            "is not among the files that may be loaded",
        ),
        (writable, "library-writable", "can be written to by"),
    ];
    for (inference, code, why) in cases {
        let device = Device::with(&["computes"]);
        fs_err::write(device.folder().join("model.onnx"), autoencoder()).unwrap();
        let host = device.open_with(|config| config.inference = inference);
        host.resume().await;
        let needs = "[models.m]\npath = \"model.onnx\"\nbackend = \"onnxruntime\"\n";
        let report = host.deploy(&Line::new(1).and(needs)).await;
        assert_ne!(report.phase, Phase::Committed, "{code}: {report:?}");
        let fault = &report.faults[0];
        assert_eq!(fault.code, "model-backend-unusable", "{code}: {report:?}");
        assert!(fault.message.contains(why), "{code}: {report:?}");
        // What leaves the library open runs with another one.
        let open = "[models.m]\npath = \"model.onnx\"\n";
        host.commit(&Line::new(2).and(open)).await;
        let model = host.deployments().models().status().remove(0);
        assert_eq!(model.backend, selvedge::spec::BackendKind::Tract, "{code}");
        // A graphics processor that is not there is never replaced in silence.
        let gpu = "[models.m]\npath = \"model.onnx\"\ntarget = \"gpu\"\n";
        let report = host.deploy(&Line::new(3).and(gpu)).await;
        assert_eq!(
            report.faults[0].code, "model-target-unavailable",
            "{report:?}"
        );
        let preferred = "[models.m]\npath = \"model.onnx\"\ntarget = \"gpu-preferred\"\n";
        host.commit(&Line::new(4).and(preferred)).await;
        assert!(host.deployments().models().status().remove(0).degraded);
        host.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_runs_without_its_library_says_so_where_it_is_asked() {
    let (_folder, library) = installed();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
    let pinned = run(&mut selvedge(&["backends", "pin", text(&library)])).await;
    write("host.toml", &pinned.stdout);
    fs_err::write(folder.path().join("model.onnx"), autoencoder()).unwrap();
    write(
        "line.toml",
        "name = \"line\"\nversion = \"1.0.0\"\nprobation.seconds = 0\n[models.m]\npath = \"model.onnx\"\ntarget = \"gpu-preferred\"\n",
    );
    let mut command = selvedge(&["dev", "line.toml", "--host-config", "host.toml"]);
    let command = command.args(["--data-directory", "data"]);
    let mut host = Process::start(command.current_dir(folder.path()));
    host.line("deployment committed").await;
    let socket = folder.path().join("data/selvedge.sock");
    let ask = async |words: &[&str]| {
        let arguments = [words, &["--host", text(&socket)]].concat();
        let ended = run(&mut selvedge(&arguments)).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let told: Value = serde_json::from_str(&ask(&["backends", "--json"]).await).unwrap();
    assert_eq!(
        told["backends"][1]["unavailable"]["code"], "library-not-a-library",
        "{told}"
    );
    let help = told["backends"][1]["unavailable"]["help"].as_str().unwrap();
    assert!(help.contains("name the shared library itself"), "{help}");
    let told = ask(&["status"]).await;
    assert!(told.contains("cpu, degraded"), "{told}");
    host.signal("INT").await;
    assert_eq!(host.end().await.code, Some(0));

    // In a process of its own: one process loads one library, and others may have.
    write(
        "needs.toml",
        "name = \"line\"\nversion = \"1.0.0\"\n[models.m]\npath = \"model.onnx\"\nbackend = \"onnxruntime\"\n",
    );
    let mut command = selvedge(&["dev", "needs.toml", "--host-config", "host.toml"]);
    let command = command.args(["--data-directory", "other"]);
    let ended = Process::start(command.current_dir(folder.path()))
        .end()
        .await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    let said = ended.stderr + &ended.stdout;
    assert!(said.contains("cannot be loaded"), "{said}");
}
