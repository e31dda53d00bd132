//! What is published of a frame.

use serde::Serialize;

use selvedge_plugin::models::Description;

use crate::scores::Scored;

/// What a frame shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    /// Where the camera stands.
    pub site: String,
    /// Its name there.
    pub device: String,
    /// The likeliest label; none if not even that is sure enough.
    pub label: Option<String>,
    /// How sure the model is of it.
    pub score: f32,
    /// The likeliest, the likeliest first.
    pub top: Vec<Scored>,
    /// When the host took the frame in, in seconds since the Unix epoch.
    pub published_at: f64,
    /// What said so.
    pub model: Version,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name in the deployment.
    pub name: String,
    /// What its publisher calls the version.
    pub version: Option<String>,
    /// The digest of its file.
    pub digest: String,
}

impl Version {
    /// What `name` is described as.
    pub fn of(name: &str, model: &Description) -> Self {
        Self {
            name: name.to_owned(),
            version: model.version.clone(),
            digest: model.digest.clone(),
        }
    }
}

/// Site and device of `camera/<site>/<device>`.
pub(crate) fn camera(topic: &str) -> Option<(&str, &str)> {
    let (site, device) = topic.strip_prefix("camera/")?.split_once('/')?;
    let single = !site.is_empty() && !device.is_empty() && !device.contains('/');
    single.then_some((site, device))
}

#[cfg(test)]
mod tests {
    use super::camera;

    #[test]
    fn a_camera_is_named_by_its_topic() {
        assert_eq!(camera("camera/hall/c1"), Some(("hall", "c1")));
        for topic in [
            "camera/hall",
            "camera//c1",
            "camera/hall/",
            "camera/a/b/c",
            "label/a/b",
        ] {
            assert_eq!(camera(topic), None, "{topic}");
        }
    }
}
