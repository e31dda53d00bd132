//! The shipped plugins, as bytes.
//!
//! The build script makes them from the neighbouring folders. They are here so
//! that a new gateway has something to run; they get no more trust from the host
//! than any other plugin.

#![forbid(unsafe_code)]

/// A plugin that comes with the host.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// What it is called: the name of its folder.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
    /// Its `plugin.toml`, if it has one.
    pub manifest: Option<&'static str>,
}

/// All of them.
pub const PLUGINS: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/plugins.rs"));

/// The shipped plugin called `name`.
pub fn find(name: &str) -> Option<&'static Shipped> {
    PLUGINS.iter().find(|plugin| plugin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `\0asm`, then version 13 of the component layer (Component Model, Binary.md).
    const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn every_shipped_plugin_is_a_component() {
        assert_eq!(PLUGINS.len(), 5);
        for plugin in PLUGINS {
            assert!(
                plugin.component.starts_with(COMPONENT_PREAMBLE),
                "{} is not a component",
                plugin.name
            );
        }
    }

    #[test]
    fn a_plugin_is_found_by_its_name_and_no_other() {
        assert_eq!(find("modbus").unwrap().name, "modbus");
        assert!(find("plugin-modbus").is_none());
    }
}
