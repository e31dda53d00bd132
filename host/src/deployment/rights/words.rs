//! How a right that is not granted is told, and what would grant it.

use crate::capabilities::grant_for;
use crate::deployment::document::fault::plain;
use crate::deployment::plan::{Asker, Right};
use crate::names::{ModelName, PluginName, TopicFilter};
use crate::spec::{Endpoint, Grants};

/// The stable name of the fault. Never reworded.
pub(in crate::deployment) const WIDENED: &str = "rights-widened";

/// The list of a plugin's grants that would grant it.
pub(in crate::deployment) fn list_for(right: &Right) -> Option<&'static str> {
    match right.kind.as_str() {
        "import" => grant_for(&right.what),
        "publish" => Some("publish"),
        "subscribe" => Some("subscribe"),
        "tcp" => Some("tcp"),
        "udp" => Some("udp"),
        "model" => Some("models"),
        "keyvalue_bytes_max" => Some("keyvalue_bytes_max"),
        _ => None,
    }
}

/// What is wrong.
pub(in crate::deployment) fn message(plugin: &PluginName, right: &Right) -> String {
    let Right { kind, what, .. } = right;
    let what = plain(what);
    let needs = match (right.by, kind.as_str()) {
        (Asker::Component, _) => format!("imports `{what}`"),
        (_, "publish") => format!("wants to publish `{what}`"),
        (_, "subscribe") => format!("wants to subscribe `{what}`"),
        (_, "keyvalue_bytes_max") => format!("wants to keep {what} bytes"),
        _ => format!("wants {kind} `{what}`"),
    };
    let why = right.why.as_deref().map(plain);
    let why = why.map_or_else(String::new, |why| format!(" (\"{why}\")"));
    format!("plugin `{plugin}` {needs}{why}, which the running version does not")
}

/// What would grant it, where `granted` is what the document grants now.
pub(in crate::deployment) fn help(
    plugin: &PluginName,
    right: &Right,
    granted: Option<&Grants>,
) -> String {
    let Some(list) = list_for(right) else {
        return "this host does not offer it: keep the version that runs".to_owned();
    };
    let what = plain(&right.what);
    let grants = format!("`[plugins.{plugin}.grants]`");
    if list == "keyvalue_bytes_max" {
        let bytes = if right.kind == list { &what } else { "<bytes>" };
        return format!("if it may, add `{list} = {bytes}` to {grants}");
    }
    // A wish in words, or an import, leaves open which.
    let named = match right.kind.as_str() {
        "publish" | "subscribe" => right.what.parse::<TopicFilter>().is_ok(),
        "tcp" | "udp" => Endpoint::try_from(right.what.clone()).is_ok(),
        "model" => right.what.parse::<ModelName>().is_ok(),
        _ => false,
    };
    let entry = match list {
        _ if named => what.as_str(),
        "publish" | "subscribe" => "<topic filter>",
        "tcp" | "udp" => "<host>:<port>",
        _ => "<model>",
    };
    if granted.is_some_and(|granted| has_any(granted, list)) {
        format!("if it may, add `\"{entry}\"` to `{list}` in {grants}")
    } else {
        format!("if it may, add `{list} = [\"{entry}\"]` to {grants}")
    }
}

/// Whether a list of the grants is there already.
fn has_any(grants: &Grants, list: &str) -> bool {
    match list {
        "publish" => !grants.publish.is_empty(),
        "subscribe" => !grants.subscribe.is_empty(),
        "tcp" => !grants.tcp.is_empty(),
        "udp" => !grants.udp.is_empty(),
        "models" => !grants.models.is_empty(),
        _ => false,
    }
}
