//! Where the management API listens, and who may use it.
//!
//! Without a word, a host listens on a Unix socket, for root and for its own
//! user. Everybody else is named, or refused. Nothing listens on the network
//! unless it is asked to, and then only for holders of client certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where all of a host is kept unless it is told otherwise.
const USUAL_DATA_DIRECTORY: &str = "/var/lib/selvedge";
/// Where such a host's socket is found.
pub(crate) const USUAL_SOCKET: &str = "/run/selvedge/selvedge.sock";
/// The socket's name in a data directory of its own.
pub(crate) const SOCKET_NAME: &str = "selvedge.sock";

/// Where the management API listens, and who may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The Unix socket. Relative to this file. Without it,
    /// `/run/selvedge/selvedge.sock` for a host with the usual data directory, if
    /// that can be; else `selvedge.sock` in the data directory.
    pub socket: Option<PathBuf>,
    /// Users of this machine who may change things, besides root and the host's
    /// own user.
    pub operators: Vec<String>,
    /// Users who may look.
    pub viewers: Vec<String>,
    /// Groups whose members may change things. Known from `/etc/passwd` and
    /// `/etc/group`.
    pub operator_groups: Vec<String>,
    /// Groups whose members may look.
    pub viewer_groups: Vec<String>,
    /// The API over the network, for holders of client certificates.
    pub https: Option<HttpsConfig>,
}

/// The API over the network: TLS 1.2 or 1.3, never without a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpsConfig {
    /// Where it listens: `0.0.0.0:8443`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The host's certificate chain (PEM), its own first. Relative to this file.
    /// Read again when it changes.
    pub certificate: PathBuf,
    /// Its private key (PEM). Relative to this file.
    pub key: PathBuf,
    /// The authorities that vouch for clients (PEM). Relative to this file. Make
    /// one for this purpose: whoever it vouches for may connect.
    pub client_ca: PathBuf,
    /// Revocation lists of these authorities (PEM), one of each at least. Relative to
    /// this file. Read again when it changes.
    #[serde(default)]
    pub crl: Option<PathBuf>,
    /// Who may look, by the identity in the client's certificate: its first URI,
    /// else DNS name, else mail address, else common name.
    #[serde(default)]
    pub viewers: Vec<String>,
    /// Who may change things, in the same way.
    #[serde(default)]
    pub operators: Vec<String>,
}

impl ApiConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        let https = self.https.as_mut();
        let files = https.into_iter().flat_map(|https| {
            let HttpsConfig {
                certificate,
                key,
                client_ca,
                crl,
                ..
            } = https;
            [certificate, key, client_ca].into_iter().chain(crl)
        });
        for path in self.socket.iter_mut().chain(files) {
            *path = folder.join(&path);
        }
    }

    /// The socket of a host that keeps its data in `data_directory`: where it
    /// listens, and where clients look for it.
    pub fn socket(&self, data_directory: &Path) -> PathBuf {
        if let Some(socket) = &self.socket {
            return socket.clone();
        }
        let usual = Path::new(USUAL_SOCKET);
        // A host with a data directory of its own is one of several.
        let is_usual = data_directory == Path::new(USUAL_DATA_DIRECTORY);
        if is_usual && usual.parent().is_some_and(Path::is_dir) {
            return usual.to_owned();
        }
        data_directory.join(SOCKET_NAME)
    }

    /// Makes the folder of the usual socket if this host is to listen there and
    /// may make it. Best effort: without it, the socket is elsewhere.
    pub(super) fn make_usual_folder(&self, data_directory: &Path) {
        let wanted = self.socket.is_none() && data_directory == Path::new(USUAL_DATA_DIRECTORY);
        if let Some(folder) = Path::new(USUAL_SOCKET).parent().filter(|_| wanted) {
            drop(fs_err::create_dir(folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiConfig, Path};

    #[test]
    fn a_host_with_its_own_data_directory_has_its_own_socket() {
        let mut config = ApiConfig::default();
        let data = Path::new("/srv/line-3");
        assert_eq!(config.socket(data), Path::new("/srv/line-3/selvedge.sock"));
        config.socket = Some("api.sock".into());
        config.within(Path::new("/etc/selvedge"));
        assert_eq!(config.socket(data), Path::new("/etc/selvedge/api.sock"));
    }
}
