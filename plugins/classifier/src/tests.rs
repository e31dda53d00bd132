use selvedge_plugin::{Error, Message};

use super::{Label, Publish, Scored, Version, check_content_type, to_message};

/// A frame of `model/frames`.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/model/frames/{name}.jpg", env!("CARGO_MANIFEST_DIR"));
    fs_err::read(path).unwrap()
}

/// Consumers read this very text.
#[test]
fn a_label_is_published_as_json() {
    let label = Label {
        site: "hall".to_owned(),
        device: "c1".to_owned(),
        label: Some("high".to_owned()),
        score: 0.75,
        top: vec![Scored {
            label: "high".to_owned(),
            score: 0.75,
        }],
        published_at: 1_763_800_012.5,
        model: Version {
            name: "panel".to_owned(),
            version: Some("1.0.0".to_owned()),
            digest: "sha256:00".to_owned(),
        },
    };
    let message = to_message(&label, Publish::All).unwrap();
    let expected = r#"{"site":"hall","device":"c1","label":"high","score":0.75,"top":[{"label":"high","score":0.75}],"published_at":1763800012.5,"model":{"name":"panel","version":"1.0.0","digest":"sha256:00"}}"#;
    assert_eq!(message.text(), Some(expected));
    assert_eq!(
        (message.topic.as_str(), message.retain),
        ("label/hall/c1", false)
    );
    assert!(to_message(&label, Publish::Changes).unwrap().retain);
}

#[test]
fn what_is_said_to_be_no_jpeg_is_rejected() {
    let said = |kind: &str| check_content_type(&Message::new("t", "").with_content_type(kind));
    assert_eq!(check_content_type(&Message::new("t", "")), Ok(()));
    assert_eq!(said("image/jpeg"), Ok(()));
    assert_eq!(said("Image/JPEG; q=1"), Ok(()));
    let reason = "the content type is `image/png`, not image/jpeg";
    assert_eq!(said("image/png"), Err(Error::reject(reason)));
}
