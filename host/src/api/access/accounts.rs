//! Users and groups of this machine, from `/etc/passwd` and `/etc/group`.
//!
//! Read at each connection, within bounds, so that who was taken out of a group
//! is out. Accounts that are kept elsewhere (LDAP and the like) are not known
//! here: their uid is, and only the two files give it rights.

use std::io::Read as _;
use std::path::Path;

use tracing::warn;

use super::AccountFiles;

/// Bytes of each file that are looked at.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names of one uid, and groups of one user, that are looked at.
const NAMES_MAX: usize = 256;

/// The two files as they are now.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    pub(super) fn read(files: &AccountFiles) -> Self {
        Self {
            passwd: text(&files.passwd),
            group: text(&files.group),
        }
    }

    /// What `uid` is called, first name first.
    pub(super) fn names(&self, uid: u32) -> Vec<&str> {
        let entry = |line: &'_ str| -> Option<(usize, u32)> {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((name.len(), fields.nth(1)?.parse().ok()?))
        };
        let lines = self.passwd.lines();
        let named = lines.filter_map(|line| {
            let (name, found) = entry(line)?;
            (found == uid).then(|| line.get(..name)).flatten()
        });
        named
            .filter(|name| !name.is_empty())
            .take(NAMES_MAX)
            .collect()
    }

    /// The groups of a peer with the group `gid`, whom `names` name.
    pub(super) fn groups(&self, gid: u32, names: &[&str]) -> Vec<&str> {
        let lines = self.group.lines();
        let groups = lines.filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let own: u32 = fields.nth(1)?.parse().ok()?;
            let mut members = fields.next().unwrap_or_default().split(',');
            (own == gid || members.any(|member| names.contains(&member))).then_some(name)
        });
        groups.take(NAMES_MAX).collect()
    }
}

/// The text of a file; nothing, if it cannot be read or is not one: then it gives
/// nobody any right.
fn text(path: &Path) -> String {
    let read = || {
        let mut text = String::new();
        let file = fs_err::File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    match read() {
        Ok(text) if text.len() as u64 <= FILE_BYTES_MAX => text,
        Ok(_) => {
            warn!(path = %path.display(), bytes_max = FILE_BYTES_MAX, "accounts not read: too large");
            String::new()
        }
        Err(error) => {
            warn!(error = %error, "accounts not read");
            String::new()
        }
    }
}
