//! What `proto/inference.proto` says, as Rust. Made by the build script.
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "what is made is not ours to word"
)]

tonic::include_proto!("selvedge.inference.v1");

/// The same for clients in other languages: a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.binpb"));
