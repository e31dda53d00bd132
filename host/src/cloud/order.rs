//! What the cloud may ask for: deploy, roll back, start a plugin afresh.
//!
//! Read strictly: a key that is not known is a fault, for its sender meant
//! something by it. A document comes as TOML in a text, as the same tree in JSON,
//! or as the digest of one that this device had before. The files that it names
//! are not in MQTT: they are handed in beforehand, or come from a registry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asking::plain;
use crate::deployment::report::DeploymentId;
use crate::deployment::submission::WhenBusy;
use crate::names::{Digest, PluginName};

/// Bytes of an order: AWS IoT takes job documents of 32 KiB.
pub const ORDER_BYTES_MAX: usize = 64 << 10;
/// Files that one order names.
const FILES_MAX: usize = 256;
/// Bytes of what a file is called in a document.
const FILE_NAME_BYTES_MAX: usize = 1024;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Put a document into service.
    Deploy(Deploy),
    /// Go back: to a deployment, or to the one before the active one.
    Rollback {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<DeploymentId>,
    },
    /// Start a plugin afresh.
    RestartPlugin { plugin: PluginName },
}

/// A document to put into service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// TOML as a text, or the same tree as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
    /// SHA-256 of the document's text: what it must be, or which it is of those
    /// that this device had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The files that the document names, which were handed in before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// What becomes of it while another one is under way.
    #[serde(default)]
    pub when_busy: WhenBusy,
}

/// A document that can be handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Text(String),
    /// One that this device had before.
    Had(Digest),
}

/// Why an order is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("there is no operation in it")]
    NoOperation,
    #[error("there is no operation `{0}`")]
    Unknown(String),
    #[error("it has {bytes} bytes; {ORDER_BYTES_MAX} are allowed")]
    TooLarge { bytes: usize },
    #[error("it is not an order")]
    Form(#[source] serde_json::Error),
    #[error("it has neither a document nor the digest of one")]
    NoDocument,
    #[error("the document has the digest {found}, not {expected}")]
    Digest { expected: Digest, found: Digest },
    #[error("the document is neither a text nor a table that TOML can hold")]
    NotToml,
    #[error("`{0}` is not what a file may be called")]
    FileName(String),
    #[error("{0} files are named; {FILES_MAX} are allowed")]
    Files(usize),
    #[error("the cloud may not deploy here: `deployments` is not set")]
    NotAllowed,
}

impl OrderError {
    /// A stable name for reports. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoOperation => "no-operation",
            Self::Unknown(_) => "unknown-operation",
            Self::TooLarge { .. } => "order-too-large",
            Self::Form(_) => "order-malformed",
            Self::NoDocument => "no-document",
            Self::Digest { .. } => "document-digest",
            Self::NotToml => "document-form",
            Self::FileName(_) => "file-name",
            Self::Files(_) => "too-many-files",
            Self::NotAllowed => "not-allowed",
        }
    }
}

const OPERATIONS: [&str; 3] = ["deploy", "rollback", "restart-plugin"];

impl Order {
    /// Reads the document of a job.
    pub fn read(document: &Value) -> Result<Self, OrderError> {
        let bytes = document.to_string().len();
        if bytes > ORDER_BYTES_MAX {
            return Err(OrderError::TooLarge { bytes });
        }
        let operation = document.get("operation").and_then(Value::as_str);
        let operation = operation.ok_or(OrderError::NoOperation)?;
        if !OPERATIONS.contains(&operation) {
            return Err(OrderError::Unknown(plain(operation)));
        }
        let order: Self = Deserialize::deserialize(document).map_err(OrderError::Form)?;
        if let Self::Deploy(deploy) = &order {
            deploy.document()?;
        }
        Ok(order)
    }
}

impl Deploy {
    /// Reads what is desired in a shadow: a deployment without `operation`.
    pub fn read(desired: &Value) -> Result<Self, OrderError> {
        let bytes = desired.to_string().len();
        if bytes > ORDER_BYTES_MAX {
            return Err(OrderError::TooLarge { bytes });
        }
        let deploy: Self = Deserialize::deserialize(desired).map_err(OrderError::Form)?;
        deploy.document()?;
        Ok(deploy)
    }

    /// The document that is meant.
    pub fn document(&self) -> Result<Document, OrderError> {
        if self.files.len() > FILES_MAX {
            return Err(OrderError::Files(self.files.len()));
        }
        if let Some(name) = self.files.keys().find(|name| !is_file_name(name)) {
            return Err(OrderError::FileName(plain(name)));
        }
        let text = match &self.document {
            None => return self.digest.map(Document::Had).ok_or(OrderError::NoDocument),
            Some(Value::String(text)) => text.clone(),
            // What TOML cannot hold (`null`, large numbers) has no text.
            Some(tree @ Value::Object(_)) => {
                toml::to_string(tree).map_err(|_| OrderError::NotToml)?
            }
            Some(_) => return Err(OrderError::NotToml),
        };
        if let Some(expected) = self.digest {
            let found = Digest::of(text.as_bytes());
            if found != expected {
                return Err(OrderError::Digest { expected, found });
            }
        }
        Ok(Document::Text(text))
    }
}

/// Files are found by digest, so a name leads nowhere; but what looks as if it
/// should is not what its sender thinks it is.
fn is_file_name(name: &str) -> bool {
    let whole = (1..=FILE_NAME_BYTES_MAX).contains(&name.len());
    let relative = !name.starts_with('/') && !name.contains('\\');
    let plain = !name.contains(char::is_control);
    whole && relative && plain && name.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Deploy, Document, Order};
    use crate::names::Digest;

    const TEXT: &str = "name = \"line\"\nversion = \"1\"\n";

    #[test]
    fn orders_are_read() {
        let order = Order::read(&json!({"operation": "rollback", "to": 3})).unwrap();
        assert!(matches!(order, Order::Rollback { to: Some(id) } if id.0 == 3));
        let order = json!({"operation": "restart-plugin", "plugin": "window"});
        assert!(matches!(
            Order::read(&order).unwrap(),
            Order::RestartPlugin { .. }
        ));
        let order = json!({"operation": "deploy", "document": TEXT, "when_busy": "supersede"});
        assert!(matches!(Order::read(&order).unwrap(), Order::Deploy(_)));
    }

    #[test]
    fn what_is_not_an_order_is_refused_with_a_reason() {
        let check = |order: Value, code: &str| {
            assert_eq!(Order::read(&order).unwrap_err().code(), code, "{order}");
        };
        check(json!(null), "no-operation");
        check(json!({"operation": 7}), "no-operation");
        check(json!({"operation": "format-disk"}), "unknown-operation");
        check(
            json!({"operation": "rollback", "to": "all"}),
            "order-malformed",
        );
        check(json!({"operation": "rollback", "t0": 3}), "order-malformed");
        check(
            json!({"operation": "deploy", "document": TEXT, "x": 1}),
            "order-malformed",
        );
        check(json!({"operation": "deploy"}), "no-document");
        check(
            json!({"operation": "deploy", "document": [1]}),
            "document-form",
        );
        check(
            json!({"operation": "deploy", "document": {"a": null, "b": 1}}),
            "document-form",
        );
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let digest = Digest::of(b"x");
        for name in [
            "../etc/passwd",
            "a/../../b",
            "/etc/passwd",
            "",
            "a\nb",
            "c:\\x",
        ] {
            let order = json!({"operation": "deploy", "document": TEXT, "files": {name: digest}});
            assert_eq!(
                Order::read(&order).unwrap_err().code(),
                "file-name",
                "{name}"
            );
        }
        let plugin = json!({"operation": "restart-plugin", "plugin": "../x"});
        assert_eq!(Order::read(&plugin).unwrap_err().code(), "order-malformed");
        let large = json!({"operation": "deploy", "document": "x".repeat(70_000)});
        assert_eq!(Order::read(&large).unwrap_err().code(), "order-too-large");
    }

    #[test]
    fn a_document_is_a_text_a_tree_or_the_digest_of_one() {
        let read = |desired: Value| Deploy::read(&desired).and_then(|deploy| deploy.document());
        let digest = Digest::of(TEXT.as_bytes());
        let text = Document::Text(TEXT.to_owned());
        assert_eq!(
            read(json!({"document": TEXT, "digest": digest})).unwrap(),
            text
        );
        let tree = json!({"document": {"name": "line", "version": "1"}});
        assert_eq!(read(tree).unwrap(), text);
        assert_eq!(
            read(json!({"digest": digest})).unwrap(),
            Document::Had(digest)
        );
        let other = json!({"document": "name = 1", "digest": digest});
        assert_eq!(read(other).unwrap_err().code(), "document-digest");
    }
}
