//! What can be done about errors that several commands may meet.

use std::error::Error;
use std::io;

use selvedge_registry::{ClientError, LayoutError};
use selvedge_signer::KeyError;

use super::client::HostError;

/// What can be done about `error`, going by it and its causes.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(hint) = about(error) {
            return Some(hint);
        }
        cause = error.source();
    }
    None
}

fn about(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(KeyError::PasswordMissing { .. }) = error.downcast_ref() {
        return Some("name `--password-file`".to_owned());
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return match error {
            ClientError::Unauthorised { name, .. } | ClientError::Denied { name, .. } => {
                let registry = name.split('/').next().unwrap_or_default();
                Some(format!(
                    "log in with `docker login {registry}`, or name `--docker-config`"
                ))
            }
            ClientError::Unspecific { name } => {
                Some(format!("`selvedge pull {name} --list` lists the versions"))
            }
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<HostError>() {
        return error.help();
    }
    match error.downcast_ref() {
        Some(LayoutError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => Some(
            "it is in the host's data directory: name a `--host-config`, or another store \
             with `--store` where the command has that"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use selvedge_registry::ClientError;

    use super::hint;
    use crate::artifacts::ArtifactError;

    #[test]
    fn a_hint_is_found_behind_other_errors() {
        let name = "localhost:5000/acme/hot".to_owned();
        let error = ArtifactError::from(ClientError::Unspecific { name });
        let expected = "`selvedge pull localhost:5000/acme/hot --list` lists the versions";
        assert_eq!(hint(&error).as_deref(), Some(expected));
        assert_eq!(hint(&std::io::Error::other("no room")), None);
    }
}
