//! The device's own secret: authenticates what the host wrote for itself.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::StorageError;

/// 32 random bytes that never leave the data directory.
#[derive(Clone)]
pub struct DeviceKey([u8; 32]);

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey")
    }
}

impl DeviceKey {
    /// Reads the key at `path`, or makes one there, readable by its owner only.
    pub(super) fn load(path: &Path) -> Result<Self, StorageError> {
        match fs_err::read(path) {
            Ok(bytes) => {
                let key = bytes.as_slice().try_into().map_err(|_| StorageError::Key {
                    path: path.to_owned(),
                    found: bytes.len(),
                })?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error.into()),
        }
    }

    /// Written aside and renamed, so that a crash leaves a whole key or none.
    fn create(path: &Path) -> Result<Self, StorageError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        let aside = path.with_extension("new");
        match fs_err::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&aside)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs_err::rename(&aside, path)?;
        Ok(Self(key))
    }

    /// A code over `parts` that only this device can make. Each part is
    /// preceded by its length, so that no two lists of parts look the same.
    pub fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether `code` is the code over `parts`, in constant time.
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.mac(parts).verify_slice(code).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceKey;

    #[test]
    fn a_key_is_made_once_and_its_codes_depend_on_every_part() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        let key = DeviceKey::load(&path).unwrap();
        let code = key.authenticate(&[b"ab", b"c"]);
        assert!(
            DeviceKey::load(&path)
                .unwrap()
                .verify(&[b"ab", b"c"], &code)
        );
        assert!(!key.verify(&[b"a", b"bc"], &code));
        assert!(!key.verify(&[b"ab", b"c"], &code[..31]));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        fs_err::write(&path, b"short").unwrap();
        let error = DeviceKey::load(&path).unwrap_err();
        assert!(error.to_string().ends_with("expected 32 bytes, found 5"));
    }
}
