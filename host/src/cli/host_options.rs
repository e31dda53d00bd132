//! The options of commands that ask a running host.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::client::{Address, Client, Tls, exists};
use super::failure::{Failure, Outcome};
use crate::api::config::{SOCKET_NAME, USUAL_SOCKET};
use crate::config::HostConfig;

/// Bytes of a file with certificates or a key.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Which host is asked, and by whom.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Host options")]
pub(super) struct HostOptions {
    /// The host: its socket, or `https://name:port`. Without it, the socket
    /// /run/selvedge/selvedge.sock, or the one in /var/lib/selvedge.
    #[arg(long, value_name = "SOCKET|URL")]
    host: Option<String>,
    /// Over HTTPS: your certificate, with those that vouch for it (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Over HTTPS: the key of your certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Over HTTPS: who may vouch for the host, instead of whom the system
    /// trusts (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print what the host answers, as JSON; of streams, one value a line.
    #[arg(long)]
    pub(super) json: bool,
}

impl HostOptions {
    /// Whether one host is meant and no other.
    pub(super) fn is_named(&self) -> bool {
        self.host.is_some()
    }

    /// A client for the host.
    pub(super) fn client(&self) -> Outcome<Client> {
        let address = address(self.host.as_deref())?;
        let mut tls = Tls::default();
        let files = [&self.cert, &self.key, &self.ca];
        if matches!(address, Address::Socket(_)) && files.into_iter().any(Option::is_some) {
            return Err(Failure::usage(
                "certificates are for HTTPS: name the host with `--host https://…`",
            ));
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            let mut identity = pem(cert)?;
            identity.push(b'\n');
            identity.extend(pem(key)?);
            tls.identity = Some(identity);
        }
        if let Some(ca) = &self.ca {
            tls.authorities = Some(pem(ca)?);
        }
        Ok(Client::new(&address, &tls)?)
    }
}

fn address(host: Option<&str>) -> Outcome<Address> {
    let Some(host) = host else {
        let service = PathBuf::from(USUAL_SOCKET);
        let own = HostConfig::default().data_directory.join(SOCKET_NAME);
        let found = !exists(&service) && exists(&own);
        return Ok(Address::Socket(if found { own } else { service }));
    };
    if !host.contains("://") {
        return Ok(Address::Socket(host.into()));
    }
    let url = Url::parse(host).ok().filter(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && bare && nobody
    });
    let usage = || Failure::usage(format!("`{host}` is no host: expected `https://name:port`"));
    url.map(Address::Https).ok_or_else(usage)
}

fn pem(path: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        let what = format!("it has more than {PEM_BYTES_MAX} bytes");
        return Err(Failure::about(path, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::address;
    use crate::cli::client::Address;

    #[test]
    fn hosts_are_sockets_or_https_addresses_and_nothing_else() {
        for socket in ["/run/selvedge/selvedge.sock", "here.sock", "data/a:b"] {
            let address = address(Some(socket)).unwrap();
            assert_eq!(address, Address::Socket(socket.into()));
        }
        for url in [
            "https://gateway:7443",
            "https://10.0.0.7",
            "https://[::1]:1/",
        ] {
            assert!(matches!(address(Some(url)), Ok(Address::Https(_))), "{url}");
        }
        for bad in [
            "http://gateway:7443",
            "ftp://gateway",
            "https://",
            "https://gateway/v1",
            "https://me:secret@gateway",
            "https://gateway?x",
        ] {
            assert!(address(Some(bad)).is_err(), "{bad}");
        }
    }
}
