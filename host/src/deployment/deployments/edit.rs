//! Changes the text of a document as an operator would: one plugin gets another
//! component, and all else stays as it was written, comments included.

use toml_edit::{DocumentMut, TableLike, value};

/// `text` with `component` for `plugin`; none if it has no such plugin, or is not
/// TOML.
pub(super) fn with_component(text: &str, plugin: &str, component: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let plugins = document.get_mut("plugins")?.as_table_like_mut()?;
    let plugin = plugins.get_mut(plugin)?.as_table_like_mut()?;
    set(plugin, component);
    Some(document.to_string())
}

fn set(plugin: &mut dyn TableLike, component: &str) {
    let old = plugin.get("component").and_then(|old| old.as_value());
    let decor = old.map(|old| old.decor().clone());
    let mut new = value(component);
    if let (Some(decor), Some(new)) = (decor, new.as_value_mut()) {
        *new.decor_mut() = decor;
    }
    plugin.insert("component", new);
    // It is the old component's.
    plugin.remove("digest");
}

#[cfg(test)]
mod tests {
    use super::with_component;

    #[test]
    fn only_the_component_and_its_digest_change() {
        let text = r#"# The press.
name = "press"

[plugins.hot] # Warns.
component = "shipped:window" # the old one
digest = "sha256:00"
config.limit = 3 # degrees

[plugins.cold]
component = "shipped:window"
"#;
        let expected = r#"# The press.
name = "press"

[plugins.hot] # Warns.
component = "shipped:other" # the old one
config.limit = 3 # degrees

[plugins.cold]
component = "shipped:window"
"#;
        let edited = with_component(text, "hot", "shipped:other");
        assert_eq!(edited.as_deref(), Some(expected));
        assert_eq!(with_component(text, "none", "shipped:other"), None);
        assert_eq!(with_component("[", "hot", "shipped:other"), None);
    }

    #[test]
    fn inline_tables_are_edited_too() {
        let text = "plugins = { hot = { component = \"a.wasm\", digest = \"x\" } }\n";
        let expected = "plugins = { hot = { component = \"shipped:b\"} }\n";
        let edited = with_component(text, "hot", "shipped:b");
        assert_eq!(edited.as_deref(), Some(expected));
    }
}
