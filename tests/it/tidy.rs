//! The house rules, as tests: what no machine checks is soon false.
//!
//! Each rule is a function from sources to faults. It is tested on a source
//! that breaks it, then holds for the repository.

mod architecture;
mod documents;
mod manifests;
mod rust;
mod sources;
mod tokens;
mod wit;

/// Fails with one fault a line.
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}
