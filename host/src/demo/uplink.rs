//! How the demo's gateway reaches its cloud: what an operator would write below
//! `[uplinks.cloud]`.

use std::path::PathBuf;

use super::client::{self, ClientError, Credentials};
use super::cloud::{PREFIX, SENT};
use super::folder::{Folder, FolderError};
use crate::names::PartyName;
use crate::uplink::config::UplinkConfig;

/// Who the gateway is in the cloud.
pub(super) const CLIENT_ID: &str = "selvedge-demo";

/// The uplink's name.
pub(super) const NAME: &str = "cloud";

/// Why there is no uplink.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error("`{0}` is no address of an account: `<id>-ats.iot.<region>.amazonaws.com`")]
    Endpoint(String),
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("cannot show the account who the gateway is")]
    Credentials(#[from] ClientError),
}

/// A real account of AWS IoT Core, and what the gateway shows there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `host` or `host:port`.
    pub endpoint: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who vouches for the account; without it, Amazon Root CA 1.
    pub ca: Option<PathBuf>,
}

impl Account {
    /// The uplink to it. What cannot work is found here.
    pub(super) fn uplink(&self, folder: &Folder) -> Result<UplinkConfig, UplinkError> {
        let ca = match &self.ca {
            Some(ca) => ca.clone(),
            None => folder.write_amazon_root()?,
        };
        let text = |path: &PathBuf| fs_err::read_to_string(path);
        client::tls(&text(&ca)?, &text(&self.certificate)?, &text(&self.key)?)?;
        let files = [ca, self.certificate.clone(), self.key.clone()];
        let config = uplink(self.endpoint.clone(), files);
        match config.address() {
            Some(_) => Ok(config),
            None => Err(UplinkError::Endpoint(self.endpoint.clone())),
        }
    }
}

/// The uplink to the stand-in at `endpoint`.
pub(super) fn to_stand_in(
    endpoint: String,
    shown: &Credentials,
    folder: &Folder,
) -> Result<UplinkConfig, FolderError> {
    let files = [
        folder.write_uplink("ca.crt", &shown.ca)?,
        folder.write_uplink("client.crt", &shown.certificate)?,
        folder.write_uplink("client.key", &shown.key)?,
    ];
    Ok(uplink(endpoint, files))
}

fn uplink(endpoint: String, [ca, certificate, key]: [PathBuf; 3]) -> UplinkConfig {
    let rule = |first: &str| format!("[[rules]]\nfilter = '{first}#'\nprefix = '{PREFIX}'\n");
    let rules: String = SENT.into_iter().map(rule).collect();
    let text =
        format!("endpoint = ''\nprofile = 'aws-iot-core'\nclient_id = '{CLIENT_ID}'\n{rules}");
    let config: UplinkConfig = toml::from_str(&text).expect("this is a configuration");
    UplinkConfig {
        endpoint,
        ca: Some(ca),
        certificate: Some(certificate),
        key: Some(key),
        ..config
    }
}

pub(super) fn name() -> PartyName {
    NAME.parse().expect("this is a name")
}

#[cfg(test)]
mod tests {
    use super::uplink;

    #[test]
    fn the_uplink_is_one_that_a_host_would_take() {
        let files = ["ca", "certificate", "key"].map(Into::into);
        let config = uplink("127.0.0.1:8883".to_owned(), files);
        assert_eq!(config.faults().len(), 0);
    }
}
