use bytes::Bytes;

use super::{ModelContents, ModelContentsError};
use crate::{ArtifactKind, Digest, Manifest, ModelConfig, ModelRelease, Packaged, media_type};

const TOML: &str = "name = 'pump'\nversion = '1.2.0'\nlicenses = 'MIT'\n\
                    golden = ['a.golden.json']\ndocs = ['README.md']\n\
                    [model]\nfile = 'pump.onnx'\n[metadata]\nlabels = '[]'\n";

fn release(toml: &str, files: &[&'static str]) -> ModelRelease {
    ModelRelease {
        package: "acme/pump".parse().unwrap(),
        created: None,
        manifest: toml.to_owned().into(),
        files: files
            .iter()
            .map(|file| Bytes::from_static(file.as_bytes()))
            .collect(),
    }
}

fn pump() -> Packaged {
    let release = release(TOML, &["onnx", "golden", "readme"]);
    release.package().unwrap()
}

fn read(packaged: &Packaged) -> Result<ModelContents, ModelContentsError> {
    let manifest = Manifest::parse(&packaged.manifest).unwrap();
    let layers: Vec<_> = packaged.blobs[1..].iter().map(|(_, b)| b.clone()).collect();
    ModelContents::read(&manifest, &packaged.blobs[0].1, &layers)
}

/// What is read after `alter`, with the configuration following the layers.
fn altered(alter: impl FnOnce(&mut Manifest, &mut Vec<Bytes>)) -> Result<ModelContents, String> {
    let packaged = pump();
    let mut manifest = Manifest::parse(&packaged.manifest).unwrap();
    let mut layers: Vec<_> = packaged.blobs[1..].iter().map(|(_, b)| b.clone()).collect();
    alter(&mut manifest, &mut layers);
    let mut config = ModelConfig::parse(&packaged.blobs[0].1).unwrap();
    config.modelfs.diff_ids = manifest.layers.iter().map(|layer| layer.digest).collect();
    let read = ModelContents::read(&manifest, &config.to_bytes(), &layers);
    read.map_err(|error| error.to_string())
}

#[test]
fn a_model_is_read_back_file_by_file() {
    let packaged = pump();
    assert_eq!(packaged.digest(), pump().digest());
    let manifest = Manifest::parse(&packaged.manifest).unwrap();
    assert_eq!(ArtifactKind::of(&manifest), Some(ArtifactKind::Model));
    assert!(
        manifest
            .layers
            .iter()
            .zip(&packaged.blobs[1..])
            .all(|(layer, (_, bytes))| layer.describes(bytes))
    );
    let contents = read(&packaged).unwrap();
    assert_eq!(contents.manifest.metadata["labels"], "[]");
    assert_eq!((&*contents.model, contents.weights), (&b"onnx"[..], None));
    assert_eq!(contents.golden, [&b"golden"[..]]);
    assert_eq!(contents.docs, [&b"readme"[..]]);
}

#[test]
fn two_files_of_weights_are_two_layers() {
    let toml = "name = 'pump'\nversion = '1.2.0'\n\
                [model]\nfile = 'm.xml'\nformat = 'openvino-ir'\nweights = 'm.bin'\n";
    let packaged = release(toml, &["xml", "bin"]).package().unwrap();
    let contents = read(&packaged).unwrap();
    assert_eq!(&*contents.model, b"xml");
    assert_eq!(contents.weights.as_deref(), Some(&b"bin"[..]));
}

#[test]
fn a_release_that_contradicts_its_manifest_is_not_made() {
    assert!(release(TOML, &["onnx", "golden"]).package().is_err());
    let mut other = release(TOML, &["onnx", "golden", "readme"]);
    other.package = "acme/fan".parse().unwrap();
    assert!(other.package().is_err());
}

#[test]
fn layers_that_are_not_what_the_manifest_says_are_refused() {
    assert!(altered(|_, _| {}).is_ok());
    type Alter = fn(&mut Manifest, &mut Vec<Bytes>);
    let alterations: [(&str, Alter); 7] = [
        ("missing", |manifest, layers| {
            drop((manifest.layers.pop(), layers.pop()));
        }),
        ("not handed in", |_, layers| drop(layers.pop())),
        ("unnamed", |manifest, layers| {
            let mut more = manifest.layers[1].clone();
            let path = media_type::MODEL_FILEPATH.to_owned();
            more.annotations.insert(path, "more.onnx".to_owned());
            manifest.layers.push(more);
            layers.push(layers[1].clone());
        }),
        ("of another type", |manifest, _| {
            manifest.layers[2].media_type = media_type::MODEL_WEIGHT.to_owned();
        }),
        ("archived", |manifest, _| {
            manifest.layers[1].media_type = "application/vnd.cncf.model.weight.v1.tar".to_owned();
        }),
        ("without a path", |manifest, _| {
            manifest.layers[3].annotations.clear()
        }),
        ("twice", |manifest, layers| {
            manifest.layers.push(manifest.layers[1].clone());
            layers.push(layers[1].clone());
        }),
    ];
    for (what, alter) in alterations {
        assert!(altered(alter).is_err(), "{what}");
    }
    let mut packaged = pump();
    let mut config = ModelConfig::parse(&packaged.blobs[0].1).unwrap();
    config.modelfs.diff_ids[1] = Digest::of(b"other");
    packaged.blobs[0].1 = config.to_bytes().into();
    assert!(matches!(
        read(&packaged),
        Err(ModelContentsError::ConfigLayers)
    ));
}

#[test]
fn a_model_of_another_tool_is_read_if_nothing_is_open() {
    let without = |keep: usize| {
        altered(move |manifest, layers| {
            let keep = keep..keep + 1;
            manifest.layers = manifest.layers[keep.clone()].to_vec();
            *layers = layers[keep].to_vec();
        })
    };
    let contents = without(1).unwrap();
    assert_eq!(contents.manifest.name, "pump");
    assert_eq!((&*contents.model, contents.golden.len()), (&b"onnx"[..], 0));
    assert!(without(2).is_err());
    let unnamed = altered(|manifest, layers| {
        manifest.layers.remove(0);
        layers.remove(0);
        manifest.annotations.clear();
    });
    assert!(unnamed.unwrap_err().contains("no `model.toml`"));
}

#[test]
fn a_plugin_is_no_model() {
    let refused = altered(|manifest, _| {
        manifest.config.media_type = media_type::WASM_CONFIG.to_owned();
    });
    assert!(refused.unwrap_err().contains("no model"));
}
