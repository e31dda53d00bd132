//! Where commands that are not told keep what they need.

use std::path::PathBuf;

/// The user's own cache directory for `purpose` (XDG Base Directory
/// Specification); never a directory that others may write to, for native code
/// is kept there.
pub(super) fn cache(purpose: &str) -> PathBuf {
    let absolute = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"));
    cache.join("selvedge").join(purpose)
}
