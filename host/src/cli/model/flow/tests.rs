use std::path::{Path, PathBuf};

use super::document::Flow;
use super::patch::patched;
use super::state::Step;

const FLOW: &str = "version = '1.1.0'\n[train]\ncommand = ['sh', '-c', 'true']\ninputs = []\n";

fn parse(text: &str) -> Result<Flow, String> {
    Flow::parse(text, PathBuf::from("/flow"))
}

#[test]
fn the_steps_are_those_that_the_file_has() {
    assert_eq!(parse(FLOW).unwrap().steps(), [Step::Train]);
    let more = format!(
        "{FLOW}[compile]\nbackend = 'onnxruntime'\n[publish]\nto = 'r.example/a/b'\n\
         [deploy]\ndocument = 'line.toml'\nmodel = 'm'\n"
    );
    let flow = parse(&more).unwrap();
    let steps = [Step::Train, Step::Compile, Step::Publish, Step::Deploy];
    assert_eq!(flow.steps(), steps);
    assert_eq!(flow.made(Step::Train), Path::new("/flow/out/train"));
}

#[test]
fn what_would_harm_or_never_work_is_refused() {
    for (text, what) in [
        (format!("out = '..'\n{FLOW}"), "out"),
        (format!("out = '/tmp'\n{FLOW}"), "out"),
        (format!("out = '.'\n{FLOW}"), "out"),
        (format!("out = ''\n{FLOW}"), "out"),
        (FLOW.replace("['sh', '-c', 'true']", "[]"), "train.command"),
        (format!("{FLOW}timeout_s = 86401\n"), "timeout_s"),
        (format!("{FLOW}timeout_s = 0\n"), "timeout_s"),
        (
            format!("{FLOW}[deploy]\ndocument = 'd'\nmodel = 'm'\n"),
            "[publish]",
        ),
        (format!("{FLOW}[later]\n"), "later"),
        (FLOW.replace("1.1.0", "new"), "version"),
    ] {
        let why = parse(&text).unwrap_err();
        assert!(why.contains(what), "{what}: {why}");
    }
}

#[test]
fn a_document_names_what_was_published_and_is_otherwise_as_it_was() {
    let text = "# A line.\nname = \"a\"\n\n[models.m] # Health.\npath = \"m.onnx\"\ngolden = \"g.json\"\nthreads = 2\n\n[models.other]\npath = \"o.onnx\"\n";
    let name = "m".parse().unwrap();
    let once = patched(text, &name, "r.example/a/m:1.0.0@sha256:00").unwrap();
    let expected = "# A line.\nname = \"a\"\n\n[models.m] # Health.\nthreads = 2\nartifact = \"r.example/a/m:1.0.0@sha256:00\"\n\n[models.other]\npath = \"o.onnx\"\n";
    assert_eq!(once, expected);
    let twice = patched(&once, &name, "r.example/a/m:1.1.0@sha256:11").unwrap();
    assert_eq!(
        twice,
        expected.replace("1.0.0@sha256:00", "1.1.0@sha256:11")
    );
    let why = patched(text, &"none".parse().unwrap(), "r").unwrap_err();
    assert!(why.contains("[models.none]"), "{why}");
    assert!(patched("[", &name, "r").is_err());
}
