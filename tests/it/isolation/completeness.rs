//! Every guest, and every mode of one, is in a test.

use std::path::Path;

/// What is there: `guest:mode` for each arm of a guest's match on its mode, the
/// name alone of a guest without modes, and the text components.
fn guests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // Those are for the benchmark: harmless, and run by it.
        if name.starts_with("bench_") {
            continue;
        }
        let source = fs_err::read_to_string(&path).unwrap();
        let modes = source.lines().filter_map(|line| {
            let (mode, _) = line.trim_start().strip_prefix('"')?.split_once("\" =>")?;
            Some(format!("{name}:{mode}"))
        });
        let modes: Vec<_> = modes.collect();
        if modes.is_empty() || !source.contains("self.mode") && !source.contains("\"mode\"") {
            found.push(name);
        } else {
            found.extend(modes);
        }
    }
    for entry in fs_err::read_dir(folder.join("text")).unwrap() {
        found.push(entry.unwrap().file_name().into_string().unwrap());
    }
    found
}

#[test]
fn every_guest_and_mode_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it");
    let mut tests = fs_err::read_to_string(folder.join("support.rs")).unwrap();
    for entry in fs_err::read_dir(folder.join("isolation")).unwrap() {
        tests.push_str(&fs_err::read_to_string(entry.unwrap().path()).unwrap());
    }
    let guests = guests();
    assert!(guests.len() > 50, "the guests were not found: {guests:?}");
    let untested = |guest: &&String| !tests.contains(&format!("\"{guest}\""));
    let untested: Vec<_> = guests.iter().filter(untested).collect();
    assert!(untested.is_empty(), "no test runs {untested:?}");
}
