//! Parsed identifiers: past the edge nothing is a bare `String`.

mod plugin_name;
mod qos;
mod topic;
mod topic_filter;

pub use plugin_name::{ModelName, PartyName, PluginName};
pub use qos::Qos;
pub use topic::Topic;
pub use topic_filter::TopicFilter;
// What signing and registries name the same way.
pub use selvedge_artifact::{Digest, PackageName, Reference};
