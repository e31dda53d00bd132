//! Where the files are that a document names by path: beside it, or in the
//! host's store if they were handed in with it.
//!
//! A path leads to the same bytes for as long as its document exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::component_source::{ComponentSource, FilePath};
use super::fault::{Collector, Faults};
use super::source::Source;
use crate::names::Digest;
use crate::storage::FileStore;

/// Where the files of a document are.
#[derive(Clone, Debug, Default)]
pub enum Files {
    /// In the folder of the document, components also in the host's directories.
    #[default]
    Beside,
    /// In the store, each by its digest. None is looked for elsewhere.
    Handed(FileStore, BTreeMap<String, Digest>),
}

impl Files {
    /// Where the file is that `path` names, if it is there.
    pub(crate) fn find(
        &self,
        path: &FilePath,
        folder: &Path,
        directories: &[PathBuf],
    ) -> Option<PathBuf> {
        match self {
            Self::Beside => path.find(folder, directories),
            Self::Handed(store, _) => store.find(&self.digest(path)?),
        }
    }

    /// The digest by which the file was handed in.
    pub fn digest(&self, path: &FilePath) -> Option<Digest> {
        match self {
            Self::Beside => None,
            Self::Handed(_, files) => files.get(path.as_path().to_str()?).copied(),
        }
    }
}

/// The files that a document names by path, read without judging it: models,
/// golden vectors, and components that are files. What is wrong with the rest of
/// it is found when it is checked.
///
/// # Errors
///
/// If the text is not TOML.
pub fn files_named(source: &Source) -> Result<BTreeSet<String>, Faults> {
    let mut faults = Collector::new(source);
    let tree = source.tree(&mut faults);
    let named = tree.map(|tree| {
        let root = DeValue::Table(tree.into_inner());
        let components = fields(&root, "plugins", &["component"]);
        let components = components.filter(|text| {
            let source = text.parse();
            matches!(source, Ok(ComponentSource::File(_)))
        });
        let models = fields(&root, "models", &["path", "golden"]);
        let models = models.filter(|text| FilePath::try_from(text.clone()).is_ok());
        components.chain(models).collect()
    });
    faults.finish(named).map(|checked| checked.value)
}

/// The texts of `names` in each table of the table `of`.
fn fields<'a>(
    root: &'a DeValue<'_>,
    of: &str,
    names: &'a [&str],
) -> impl Iterator<Item = String> + 'a {
    let tables = root.get(of).map(Spanned::get_ref);
    let tables = tables.and_then(DeValue::as_table);
    let values = tables.into_iter().flat_map(|tables| tables.values());
    let texts = move |table: &'a Spanned<DeValue<'_>>| {
        let text = move |name: &&str| {
            let text = table.get_ref().get(*name)?;
            text.get_ref().as_str().map(str::to_owned)
        };
        names.iter().filter_map(text)
    };
    values.flat_map(texts)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Source, files_named};

    #[test]
    fn files_are_found_in_a_document_that_is_wrong_otherwise() {
        let text = r#"
nonsense = 1
[plugins.a]
component = "out/a.wasm"
[plugins.b]
component = "shipped:b"
config = { path = "not/this" }
[plugins.c]
component = 7
[models.m]
path = "m.onnx"
golden = "m.json"
[models.n]
path = "/etc/passwd"
"#;
        let source = Source::new(Path::new("line.toml"), text.into()).unwrap();
        let named: Vec<_> = files_named(&source).unwrap().into_iter().collect();
        assert_eq!(named, ["m.json", "m.onnx", "out/a.wasm"]);
        for text in ["[", "plugins = 1\nmodels = [1]"] {
            let source = Source::new(Path::new("line.toml"), text.into()).unwrap();
            assert!(files_named(&source).map_or(true, |named| named.is_empty()));
        }
    }
}
