//! Is this artifact trusted?
//!
//! Here will be the only way to a verified artifact: bytes, a signature bundle
//! and a policy in, a verdict out, and no input or output of its own. Nothing
//! is verified yet: whoever writes a deployment vouches for what it names, by
//! the components' digests if he gives them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
