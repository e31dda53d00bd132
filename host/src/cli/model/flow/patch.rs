//! Names a published model in a deployment document, and leaves all else as it is.

use toml_edit::{DocumentMut, Item, value};

use crate::names::ModelName;

/// What says where a model is from; only one of them may.
const FROM: [&str; 4] = ["path", "golden", "weights", "format"];

/// `text` with `reference` as the model `name`.
///
/// # Errors
///
/// Why the document is none, or has no such model.
pub(super) fn patched(text: &str, name: &ModelName, reference: &str) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let model = document
        .get_mut("models")
        .and_then(|models| models.get_mut(name.as_str()))
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| format!("it has no `[models.{name}]`"))?;
    for key in FROM {
        model.remove(key);
    }
    match model.get_mut("artifact").and_then(Item::as_value_mut) {
        Some(former) => {
            let decor = former.decor().clone();
            *former = reference.into();
            *former.decor_mut() = decor;
        }
        None => {
            model.insert("artifact", value(reference));
        }
    }
    Ok(document.to_string())
}
