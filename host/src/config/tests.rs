use std::path::Path;
use std::sync::Arc;

use super::HostConfig;
use crate::deployment::document::Document;
use crate::deployment::document::source::Source;

fn check(text: &str) -> Result<HostConfig, String> {
    let source = Source::new(Path::new("etc/host.toml"), text.into()).unwrap();
    let checked = HostConfig::check(&Arc::new(source));
    checked
        .map(|checked| checked.value)
        .map_err(|faults| faults.to_string())
}

#[test]
fn an_empty_file_is_the_default_host() {
    assert_eq!(check("").unwrap(), HostConfig::default());
}

#[test]
fn the_default_host_reads_back_from_its_own_text() {
    let text = toml::to_string(&HostConfig::default()).unwrap();
    assert_eq!(check(&text).unwrap(), HostConfig::default());
}

#[test]
fn relative_paths_are_seen_from_the_file() {
    let text = "data_directory = 'data'\nplugin_directories = ['p', '/abs']\n";
    let config = check(text).unwrap();
    assert_eq!(config.data_directory, Path::new("etc/data"));
    assert_eq!(config.plugin_directories[0], Path::new("etc/p"));
    assert_eq!(config.plugin_directories[1], Path::new("/abs"));
}

#[test]
fn a_part_larger_than_its_whole_is_refused_where_it_was_written() {
    let text = "[bus]\nmessage_bytes_max = 4096\nretained_bytes_max = 1024\n";
    assert_eq!(
        check(text).unwrap_err(),
        "etc/host.toml:3:22: error: `bus.message_bytes_max` is 4096, above \
         `bus.retained_bytes_max`, which is 1024"
    );
}

#[test]
fn the_fields_that_tell_the_files_apart_are_those_of_the_schemas() {
    let names = |schema: serde_json::Value| -> Vec<String> {
        let properties = schema["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    };
    assert_eq!(names(HostConfig::schema()), HostConfig::FIELDS);
    assert_eq!(names(Document::schema()), Document::FIELDS);
}

/// `UPDATE_EXPECT=1` rewrites the file.
fn schema_is_checked_in(name: &str, schema: &serde_json::Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(&path, &text).unwrap();
    }
    let checked_in = fs_err::read_to_string(&path).unwrap();
    assert!(
        checked_in == text,
        "{name} is not the schema of this code: UPDATE_EXPECT=1 rewrites it"
    );
    assert_described(schema, name);
}

/// Editors show the description of each field.
fn assert_described(schema: &serde_json::Value, at: &str) {
    for part in ["properties", "$defs"] {
        for (name, entry) in schema[part].as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            let described = entry["description"].is_string();
            assert!(described || part == "$defs", "{at} has no description");
            assert_described(entry, &at);
        }
    }
}

#[test]
fn the_schema_of_the_host_is_checked_in() {
    schema_is_checked_in("host.schema.json", &HostConfig::schema());
}

#[test]
fn the_schema_of_deployments_is_checked_in() {
    schema_is_checked_in("deployment.schema.json", &Document::schema());
}
