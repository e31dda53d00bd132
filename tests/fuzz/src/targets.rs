//! The targets, by name. A new one gets a module, a line here and, where it
//! helps, a folder in `seeds`.

mod archive;
mod bundle;
mod decision;
mod documents;
mod manifest;
mod mqtt_client;
mod mqtt_rewrite;
mod mqtt_server;
mod names;
mod policy;
mod statement;
mod stored;
mod trust;

/// Looks at an input; panics if something does not hold.
pub type Target = fn(&[u8]);

/// All targets. `cargo xtask fuzz` reads their names from these lines.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive::check),
    ("bundle", bundle::check),
    ("decision", decision::check),
    ("documents", documents::check),
    ("manifest", manifest::check),
    ("mqtt-client", mqtt_client::check),
    ("mqtt-rewrite", mqtt_rewrite::check),
    ("mqtt-server", mqtt_server::check),
    ("names", names::check),
    ("policy", policy::check),
    ("statement", statement::check),
    ("stored", stored::check),
    ("trust", trust::check),
];
