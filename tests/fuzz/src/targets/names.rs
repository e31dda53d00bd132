//! Names that a registry or a person gives: what is accepted is written as it
//! was read.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use selvedge_artifact::{Digest, PackageName, PackagePattern, Reference, Tag};
use selvedge_signing::IdentityPattern;

use crate::printable::accepted;

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    name::<Digest>(text);
    name::<PackageName>(text);
    name::<PackagePattern>(text);
    name::<Reference>(text);
    name::<Tag>(text);
    if let Some(pattern) = accepted(IdentityPattern::try_from(text.to_owned())) {
        assert_eq!(String::from(pattern), text);
    }
}

fn name<T: FromStr<Err: Error> + Display>(text: &str) {
    if let Some(name) = accepted(text.parse::<T>()) {
        assert_eq!(name.to_string(), text);
    }
}
