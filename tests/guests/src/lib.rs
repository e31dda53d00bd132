//! Components for the tests: one file in `examples/` each; what several have in
//! common is in `shared/`.
//!
//! `cargo xtask guests` builds them to `target/guests/<name>.wasm`; the tests
//! do it themselves if need be. A new guest is a file and an `[[example]]` with
//! `crate-type = ["cdylib"]` in `Cargo.toml`.
