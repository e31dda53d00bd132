//! What comes with the binary: its plugins, and the models of the demo.
//!
//! It is found here by name and digest. That it may run is decided as for all else.

use std::collections::BTreeMap;

use crate::config::HostConfig;
use crate::deployment::document::Site;
use crate::deployment::{FindPlugin, Shipped};
use crate::names::{Digest, PluginName};

/// What comes with the binary, and where else components are looked for.
pub(super) fn brought_along(config: &HostConfig) -> FindPlugin {
    FindPlugin {
        shipped: |name| {
            let plugin = selvedge_bundle::find(name)?;
            Some(Shipped {
                component: plugin.component,
                manifest: plugin.manifest,
            })
        },
        shipped_model: |digest| {
            let mut assets = crate::demo::ASSETS.iter();
            assets.any(|(_, bytes)| Digest::of(bytes) == *digest)
        },
        directories: config.plugin_directories.clone().into(),
    }
}

/// What a deployment for this host is judged by.
pub fn site(config: &HostConfig) -> Site {
    config.site(shipped())
}

/// The plugins that come with the binary.
pub fn shipped() -> BTreeMap<PluginName, Digest> {
    let digest = |plugin: &selvedge_bundle::Shipped| {
        let name = plugin
            .name
            .parse()
            .expect("folders of plugins are plugin names");
        (name, Digest::of(plugin.component))
    };
    selvedge_bundle::PLUGINS.iter().map(digest).collect()
}
