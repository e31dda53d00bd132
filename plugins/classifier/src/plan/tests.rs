use selvedge_plugin::models::{Description, Dimension, Port};
use selvedge_plugin::nn::TensorType;

use super::Plan;
use crate::config::{Bounds, Colours, Config, Fit, Image, Layout};
use crate::frame::Frame;
use crate::tests::sample;

fn port(name: &str, sizes: &[u32]) -> Port {
    let fixed = sizes.iter().map(|size| Dimension::Fixed(*size));
    Port {
        name: name.to_owned(),
        kind: TensorType::Fp32,
        dimensions: std::iter::once(Dimension::Named("n".to_owned()))
            .chain(fixed)
            .collect(),
    }
}

fn model(sizes: &[u32], metadata: &[(&str, &str)]) -> Description {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Description {
        inputs: vec![port("x", sizes)],
        outputs: vec![port("y", &[2])],
        version: None,
        digest: "sha256:00".to_owned(),
        metadata: metadata.iter().map(owned).collect(),
    }
}

const LABELS: (&str, &str) = ("labels", r#"["a","b"]"#);

fn config(changes: &str) -> Config {
    serde_json::from_str(&format!(r#"{{"model":"m"{changes}}}"#)).unwrap()
}

/// For two labels, of two by two pixels.
pub(crate) fn plan() -> Plan {
    Plan::new(&config(""), &model(&[3, 2, 2], &[LABELS])).unwrap()
}

#[track_caller]
fn refused(changes: &str, sizes: &[u32], metadata: &[(&str, &str)], why: &str) {
    let error = Plan::new(&config(changes), &model(sizes, metadata)).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

/// Two by two: red, green; blue, white.
fn frame() -> Frame {
    Frame {
        width: 2,
        height: 2,
        channels: 3,
        pixels: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255],
    }
}

#[test]
fn the_model_says_how_it_wants_its_pictures() {
    let image = r#"{"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}"#;
    let metadata = [LABELS, ("image", image), ("scores", "logits")];
    let plan = Plan::new(&config(""), &model(&[3, 2, 2], &metadata)).unwrap();
    assert_eq!((plan.shape, plan.layout), ([1, 3, 2, 2], Layout::Nchw));
    assert!(plan.softmax);
    let planes = [
        [1.0, -1.0, -1.0, 1.0],
        [-1.0, 1.0, -1.0, 1.0],
        [-1.0, -1.0, 1.0, 1.0],
    ];
    assert_eq!(plan.prepare(&frame()), planes.concat());
}

/// `train/prepare.py` made the expected pixels with another decoder: those differ in
/// how they interpolate colours, and in nothing else.
#[test]
fn the_model_sees_in_service_what_it_saw_in_training() {
    let path = format!("{}/model/frames/normal.rgb", env!("CARGO_MANIFEST_DIR"));
    let expected = fs_err::read(path).unwrap();
    let frame = Frame::decode(&sample("normal"), &Bounds::default()).unwrap();
    let own = r#","image":{"layout":"nhwc","scale":1}"#;
    let plan = Plan::new(&config(own), &model(&[96, 96, 3], &[LABELS])).unwrap();
    let found = plan.prepare(&frame);
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(&expected);
    let differences = differences.map(|(found, expected)| (found - f32::from(*expected)).abs());
    let (sum, largest) = differences.fold((0.0, 0.0_f32), |(sum, largest), difference| {
        (sum + difference, largest.max(difference))
    });
    let mean = sum / found.len() as f32;
    assert!(
        mean < 0.5 && largest < 16.0,
        "mean {mean}, largest {largest}"
    );
}

#[test]
fn the_operator_has_the_last_word() {
    let metadata = [LABELS, ("image", r#"{"layout":"nchw","fit":"crop"}"#)];
    let own = r#","softmax":false,"labels":["c","d"],"image":{"layout":"nhwc","colours":"bgr","scale":1,"fit":"stretch"}"#;
    let plan = Plan::new(&config(own), &model(&[2, 2, 3], &metadata)).unwrap();
    assert_eq!(plan.labels, ["c", "d"]);
    assert_eq!((plan.colours, plan.fit), (Colours::Bgr, Fit::Stretch));
    let pixels = [
        [0.0, 0.0, 255.0],
        [0.0, 255.0, 0.0],
        [255.0, 0.0, 0.0],
        [255.0; 3],
    ];
    assert_eq!(plan.prepare(&frame()), pixels.concat());
}

#[test]
fn grey_frames_and_grey_models_get_along() {
    let grey = Frame {
        width: 1,
        height: 1,
        channels: 1,
        pixels: vec![255],
    };
    assert_eq!(plan().prepare(&grey), [1.0; 12]);
    let plan = Plan::new(&config(""), &model(&[1, 2, 2], &[LABELS])).unwrap();
    let input = plan.prepare(&frame());
    assert_eq!(input.len(), 4);
    for (found, expected) in input.iter().zip([0.299, 0.587, 0.114, 1.0]) {
        assert!((found - expected).abs() < 0.01, "{input:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let labels = [LABELS];
    refused("", &[3, 2, 2], &[], "neither `labels` nor");
    refused(
        "",
        &[3, 2, 2],
        &[("labels", "a,b")],
        "`labels` is no JSON array",
    );
    refused(
        r#","labels":["a"]"#,
        &[3, 2, 2],
        &[],
        "there are 1 labels, but the output `y` FP32 [n, 2] gives 2",
    );
    refused(r#","labels":["a",""]"#, &[3, 2, 2], &[], "labels must be");
    refused(r#","input":"z""#, &[3, 2, 2], &labels, "no input `z`");
    refused("", &[2, 2], &labels, "is no picture");
    refused("", &[4, 2, 2], &labels, "is no picture");
    refused("", &[3, 2, 4_096], &labels, "is no picture");
    refused("", &[3, 2, 3], &labels, "`image.layout` must");
    refused(
        r#","image":{"mean":[0.5]}"#,
        &[3, 2, 2],
        &labels,
        "`image.mean` has 1 numbers",
    );
    refused(
        r#","image":{"std":[0,1,1]}"#,
        &[3, 2, 2],
        &labels,
        "`std` and `scale` not 0",
    );
    refused(
        r#","image":{"scale":0}"#,
        &[3, 2, 2],
        &labels,
        "`std` and `scale` not 0",
    );
    refused(
        "",
        &[3, 2, 2],
        &[LABELS, ("image", "{\"size\":3}")],
        "unknown field `size`",
    );
    let mut bytes = model(&[3, 2, 2], &labels);
    bytes.inputs[0].kind = TensorType::U8;
    let error = Plan::new(&config(""), &bytes).unwrap_err().to_string();
    assert!(error.contains("`x` U8 [n, 3, 2, 2]"), "{error}");
    let unset = Image::default();
    assert_eq!(config("").image, unset);
}
