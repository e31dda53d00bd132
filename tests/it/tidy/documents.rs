//! The documents are there and say what they promise to.

use super::assert_none;
use super::sources::root;

/// What each document must contain. The architecture names every layer.
const DOCUMENTS: &[(&str, &[&str])] = &[
    (
        "README.md",
        &["cargo run --release -- demo", "cargo xtask test"],
    ),
    ("CHANGELOG.md", &["# Changelog"]),
    (
        "ARCHITECTURE.md",
        &[
            "`error_chain`",
            "`names`",
            "`supervisor`",
            "`service_manager`",
            "`spec`",
            "`bus`",
            "`storage`",
            "`inference`",
            "`capabilities`",
            "`runtime`",
            "`deployment`",
            "`config`",
            "`app`",
            "`demo`",
            "`cli`",
        ],
    ),
    ("LICENSE", &["Apache License"]),
];

fn faults(name: &str, text: Option<&str>, wanted: &[&str]) -> Vec<String> {
    let Some(text) = text else {
        return vec![format!("{name} is missing")];
    };
    let missing = wanted.iter().filter(|wanted| !text.contains(**wanted));
    missing
        .map(|wanted| format!("{name} does not mention {wanted}"))
        .collect()
}

#[test]
fn the_documents_say_what_they_promise() {
    assert_eq!(faults("A", None, &["x"]), ["A is missing"]);
    assert_eq!(
        faults("A", Some("x"), &["x", "y"]),
        ["A does not mention y"]
    );
    let mut found = Vec::new();
    for (name, wanted) in DOCUMENTS {
        let text = fs_err::read_to_string(root().join(name)).ok();
        found.extend(faults(name, text.as_deref(), wanted));
    }
    assert_none(&found);
}
