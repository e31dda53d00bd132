//! Drives the real binary and checks the house rules: the one test crate.

mod guests;
mod tidy;
