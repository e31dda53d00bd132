//! Says how far a transfer is.

use selvedge_artifact::Digest;

/// Is told how far a transfer is.
pub trait Progress: Send + Sync {
    /// A blob of `size` bytes begins, `done` of which are there already.
    fn begin(&self, digest: &Digest, size: u64, done: u64);
    /// So many more bytes of it arrived or left.
    fn advance(&self, digest: &Digest, bytes: u64);
    /// It is whole.
    fn finish(&self, digest: &Digest);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &Digest, _: u64, _: u64) {}
    fn advance(&self, _: &Digest, _: u64) {}
    fn finish(&self, _: &Digest) {}
}
