//! What fleet provisioning says and is told, in its JSON form (AWS IoT Developer
//! Guide, "Device provisioning MQTT API").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cloud::name::{TemplateName, ThingName};
use crate::names::{Topic, TopicFilter};

/// One question, and where its answers come.
#[derive(Clone, Debug)]
pub struct Asked {
    base: String,
}

impl Asked {
    pub fn create_from_csr() -> Self {
        let base = "$aws/certificates/create-from-csr/json".to_owned();
        Self { base }
    }

    pub fn create_keys() -> Self {
        let base = "$aws/certificates/create/json".to_owned();
        Self { base }
    }

    pub fn register(template: &TemplateName) -> Self {
        let base = format!("$aws/provisioning-templates/{template}/provision/json");
        Self { base }
    }

    pub fn topic(&self) -> Topic {
        self.base.parse().expect("names are levels of topics")
    }

    pub fn filters(&self) -> Vec<TopicFilter> {
        let ends = ["accepted", "rejected"].map(|end| format!("{}/{end}", self.base));
        let filters = ends.iter().map(|text| text.parse());
        filters
            .map(|filter| filter.expect("names are levels of topics"))
            .collect()
    }

    /// Whether an answer says yes; none if it is not one.
    pub fn is_accepted(&self, topic: &Topic) -> Option<bool> {
        match topic.as_str().strip_prefix(&self.base)? {
            "/accepted" => Some(true),
            "/rejected" => Some(false),
            _ => None,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFromCsr<'a> {
    pub certificate_signing_request: &'a str,
}

/// A certificate that is not active yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub certificate_ownership_token: String,
    pub certificate_id: String,
    pub certificate_pem: String,
    /// Only if the cloud made it.
    #[serde(default)]
    pub private_key: Option<String>,
}

/// Never the key, nor the token.
impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created").finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Register<'a> {
    pub certificate_ownership_token: &'a str,
    pub parameters: &'a BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub thing_name: ThingName,
    #[serde(default)]
    pub device_configuration: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    #[serde(default)]
    pub status_code: u16,
    #[serde(default)]
    pub error_code: String,
    #[serde(default)]
    pub error_message: String,
}
