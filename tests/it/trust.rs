//! Publishers, operators, registries and devices, as people use them: through
//! the binary, with other people's registries, signers and verifiers.

mod accepted;
mod carried;
mod models;
mod peers;
mod refused;
mod running;
pub(crate) mod world;
