//! Native libraries that run models, which the host loads: from PyPI's wheels.
//!
//! A wheel is unpacked and not installed: no Python uses it, so that one wheel,
//! whatever the Python here, will do for each kind of machine.

use std::path::Path;
use std::process::Command;

use super::once;
use crate::command::{Failure, run};

/// A wheel, and the kinds of machines that it exists for.
struct Wheel {
    /// Of its pins, `tests/peers/native/<name>.txt`, and of its folder.
    name: &'static str,
    machines: &'static [&'static str],
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        name: "onnxruntime",
        machines: &["x86_64", "aarch64"],
    },
    Wheel {
        name: "onnxruntime-openvino",
        machines: &["x86_64"],
    },
    Wheel {
        name: "openvino",
        machines: &["x86_64", "aarch64"],
    },
];

/// What the pinned wheels are built for, less the machine: the C library of
/// Debian 12 is newer than both.
const PLATFORMS: [&str; 2] = ["manylinux_2_28", "manylinux_2_35"];

/// Sets up the libraries in `peers`, with the Python that is there by now.
pub(super) fn set_up(pins: &Path, peers: &Path) -> Result<(), Failure> {
    let machine = std::env::consts::ARCH;
    for Wheel { name, machines } in WHEELS {
        if !machines.contains(&machine) {
            println!("{name}: left out, it is not made for {machine}");
            continue;
        }
        let pins = pins.join(format!("native/{name}.txt"));
        once(name, &pins, &peers.join(name), |folder| {
            unpack(&peers.join("bin/python"), &pins, folder)
        })?;
    }
    Ok(())
}

/// Unpacks the wheel that `pins` names, and nothing that it would need, to `folder`.
fn unpack(python: &Path, pins: &Path, folder: &Path) -> Result<(), Failure> {
    let downloads = folder.join(".downloads");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--only-binary", ":all:"])
        .args(["--implementation", "cp", "--python-version", "3.11"]);
    for platform in PLATFORMS {
        let machine = std::env::consts::ARCH;
        pip.arg("--platform").arg(format!("{platform}_{machine}"));
    }
    pip.arg("--dest").arg(&downloads);
    pip.arg("--requirement").arg(pins);
    run(pip)?;
    for entry in fs_err::read_dir(&downloads)? {
        let mut unzip = Command::new(python);
        unzip.args(["-m", "zipfile", "-e"]);
        unzip.arg(entry?.path()).arg(folder);
        run(unzip)?;
    }
    fs_err::remove_dir_all(downloads)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_is_pinned_by_a_hash_for_each_machine_that_it_is_made_for() {
        for Wheel { name, machines } in WHEELS {
            let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/native");
            let pins = fs_err::read_to_string(pins.join(format!("{name}.txt"))).unwrap();
            assert_eq!(pins.matches(&format!("\n{name}==")).count(), 1, "{name}");
            let hashes = pins.matches("--hash=sha256:").count();
            assert_eq!(hashes, machines.len(), "{name}");
        }
    }
}
