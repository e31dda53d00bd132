//! Names that a registry or a person gives: what is accepted is written as it
//! was read.
//!
//! Run it as `documents` is.

#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use selvedge_artifact::{Digest, PackageName, PackagePattern, Reference, Tag};

fn check<T: FromStr + Display>(text: &str) {
    if let Ok(name) = text.parse::<T>() {
        assert_eq!(name.to_string(), text);
    }
}

fuzz_target!(|text: &str| {
    check::<Digest>(text);
    check::<PackageName>(text);
    check::<PackagePattern>(text);
    check::<Reference>(text);
    check::<Tag>(text);
});
