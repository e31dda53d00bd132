//! Parsed identifiers: past the edge nothing is a bare `String`.

mod digest;
mod plugin_name;
mod topic;
mod topic_filter;

pub use digest::Digest;
pub use plugin_name::{ModelName, PartyName, PluginName};
pub use topic::Topic;
pub use topic_filter::TopicFilter;
