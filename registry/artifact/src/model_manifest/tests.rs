use super::{ModelDimension, ModelManifest};

const PUMP: &str = "name = 'pump'\nversion = '1.2.0'\n";
const FILES: &str = "[model]\nfile = 'pump.onnx'\n";

fn parse(before: &str, after: &str) -> Result<ModelManifest, String> {
    let text = format!("{PUMP}{before}\n{FILES}{after}");
    ModelManifest::parse(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_manifest_says_what_a_model_takes_and_gives() {
    let ports = "[[inputs]]\nname = 'x'\nshape = ['batch', 4]\n\
                 [[outputs]]\nname = 'y'\nkind = 'i64'\n";
    let manifest = parse("golden = ['a.golden.json']\nbackend = 'tract'", ports).unwrap();
    let batch = ModelDimension::Named("batch".to_owned());
    assert_eq!(manifest.inputs[0].shape, [batch, ModelDimension::Fixed(4)]);
    assert_eq!(manifest.inputs[0].kind, "fp32");
    let files: Vec<_> = manifest.files().collect();
    assert_eq!(files, ["pump.onnx", "a.golden.json"]);
}

#[test]
fn a_manifest_reaches_no_file_beyond_its_folder() {
    for path in [
        "../x",
        "/x",
        "a/../x",
        ".ssh/x",
        "",
        "a//x",
        "a\\x",
        "model.toml",
    ] {
        assert!(
            parse(&format!("golden = ['{path}']"), "").is_err(),
            "{path}"
        );
    }
    assert!(parse("golden = ['golden/a.json']", "").is_ok());
    assert!(parse("golden = ['pump.onnx']", "").is_err());
}

#[test]
fn what_no_model_may_say_is_refused() {
    for (before, after) in [
        ("nonsense = 1", ""),
        ("description = \"a\\nb\"", ""),
        ("", "weights = 'pump.bin'"),
        ("", "format = 'openvino-ir'"),
        ("", "format = 'pickle'"),
        ("", "[[inputs]]\nname = 'x'\n"),
        (
            "",
            "[[inputs]]\nname = 'x'\nshape = [0]\n[[outputs]]\nname = 'y'",
        ),
    ] {
        assert!(parse(before, after).is_err(), "{before} {after}");
    }
    let large = format!("{PUMP}{FILES}[metadata]\na = '{}'", "x".repeat(70_000));
    assert!(ModelManifest::parse(large.as_bytes()).is_err());
    assert!(ModelManifest::parse(b"\xff").is_err());
}
