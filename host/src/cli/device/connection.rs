//! The folder that a device gets: certificate, key, authority, and files for the
//! usual clients, ready to run.
//!
//! Everything in it refers to the folder itself, so that it can be carried to the
//! device as it is.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::json;

use crate::cli::failure::{Failure, Outcome};
use crate::devices::{Device, Issued, addresses, host_name};
use crate::names::{PartyName, TopicFilter};

/// MQTT over TLS, as IANA has it.
const PORT: u16 = 8883;

const PAHO: &str = include_str!("templates/connect-paho.py");
const AWS_SDK: &str = include_str!("templates/connect-aws-sdk.py");
const README: &str = include_str!("templates/README.md");

/// Where a device finds its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: Option<u16>,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no endpoint: expected `host:port`");
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::at(address, None));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::at(address.ip(), Some(address.port())));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| expected())?)),
            None => (text, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !(1..=253).contains(&host.len()) || !host.chars().all(plain) || port == Some(0) {
            return Err(expected());
        }
        let host = host.to_owned();
        Ok(Self { host, port })
    }
}

impl Endpoint {
    fn at(address: IpAddr, port: Option<u16>) -> Self {
        let host = address.to_string();
        Self { host, port }
    }

    /// Those that were given, else where this machine is likely to be found.
    pub(super) fn all(given: &[Self], listen: Option<SocketAddr>) -> Vec<Self> {
        let port = listen.map(|listen| listen.port()).filter(|port| *port > 0);
        let port = port.unwrap_or(PORT);
        let own = || {
            let bound = listen.map(|listen| listen.ip());
            let bound = bound.filter(|address| !address.is_unspecified());
            let found = addresses().into_iter();
            let mut found = found.filter(|address| address.is_ipv4() && !address.is_loopback());
            let host = bound
                .or_else(|| found.next())
                .map(|address| address.to_string());
            let host = host.or_else(host_name);
            let host = host.unwrap_or_else(|| "localhost".to_owned());
            vec![Self { host, port: None }]
        };
        let endpoints = match given {
            [] => own(),
            given => given.to_vec(),
        };
        let with_port = |endpoint: Self| Self {
            port: endpoint.port.or(Some(port)),
            ..endpoint
        };
        endpoints.into_iter().map(with_port).collect()
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }
}

/// The folder of one device.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    device: PartyName,
}

/// One file of it.
struct File {
    name: String,
    text: String,
    mode: u32,
}

impl Folder {
    pub(super) fn new(path: PathBuf, device: PartyName) -> Self {
        Self { path, device }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if a file would be overwritten.
    pub(super) fn check_new(&self) -> Outcome<()> {
        let own = ["key", "crt"].map(|ending| format!("{}.{ending}", self.device));
        let names = own.iter().map(String::as_str).chain(["connection.json"]);
        for name in names {
            let path = self.path.join(name);
            if fs_err::symlink_metadata(&path).is_ok() {
                let help = "name another folder with `--out`".to_owned();
                return Err(Failure::new(
                    format!("there is {}", path.display()),
                    Some(help),
                ));
            }
        }
        Ok(())
    }

    /// Writes all of it; the names of the files.
    pub(super) fn write(
        &self,
        issued: &Issued,
        chain: &str,
        device: &Device,
        endpoints: &[Endpoint],
    ) -> Outcome<Vec<String>> {
        if !self.path.is_dir() {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.path);
            made.map_err(|error| Failure::about(&self.path, error))?;
        }
        let files = self.files(issued, chain, device, endpoints)?;
        for file in &files {
            self.put(file)?;
        }
        fs_err::File::open(&self.path)?.sync_all()?;
        Ok(files.into_iter().map(|file| file.name).collect())
    }

    /// Each file is whole or as it was.
    fn put(&self, file: &File) -> Outcome<()> {
        let path = self.path.join(&file.name);
        let about = |error: std::io::Error| Failure::about(&path, error);
        // Made readable by its owner only.
        let mut aside = tempfile::NamedTempFile::new_in(&self.path).map_err(about)?;
        aside.write_all(file.text.as_bytes()).map_err(about)?;
        let permissions = std::fs::Permissions::from_mode(file.mode);
        aside
            .as_file()
            .set_permissions(permissions)
            .map_err(about)?;
        aside.as_file().sync_all().map_err(about)?;
        aside.persist(&path).map_err(|error| about(error.error))?;
        Ok(())
    }

    fn files(
        &self,
        issued: &Issued,
        chain: &str,
        device: &Device,
        endpoints: &[Endpoint],
    ) -> Outcome<Vec<File>> {
        let name = &self.device;
        let public = |name: &str, text: String| File {
            name: name.to_owned(),
            text,
            mode: 0o644,
        };
        let mut files = vec![
            public("ca.crt", chain.to_owned()),
            public(&format!("{name}.crt"), issued.certificate.clone()),
            public(
                "connection.json",
                self.description(issued, device, endpoints)?,
            ),
            public("connect-paho.py", PAHO.to_owned()),
            public("connect-aws-sdk.py", AWS_SDK.to_owned()),
            // With the number of the process, so that several can run at once.
            public("mosquitto_pub", self.mosquitto(endpoints, "-I", "")),
            // Always the same, for a session that is kept (`-c`).
            public("mosquitto_sub", self.mosquitto(endpoints, "-i", "sub")),
            public("README.md", self.readme(device)),
        ];
        if let Some(key) = &issued.key {
            files.push(File {
                name: format!("{name}.key"),
                text: key.clone(),
                mode: 0o600,
            });
        }
        Ok(files)
    }

    fn description(
        &self,
        issued: &Issued,
        device: &Device,
        endpoints: &[Endpoint],
    ) -> Outcome<String> {
        let name = &self.device;
        let endpoint = |one: &Endpoint| json!({ "host": one.host, "port": one.port() });
        let text = serde_json::to_string_pretty(&json!({
            "device": name,
            "client_id": name,
            "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
            "ca": "ca.crt",
            "certificate": format!("{name}.crt"),
            "key": format!("{name}.key"),
            "publish": device.publish,
            "subscribe": device.subscribe,
            "fingerprint": issued.fingerprint.to_string(),
            "serial": issued.serial,
            "not_after": issued.not_after,
        }))?;
        Ok(format!("{text}\n"))
    }

    /// Options as `mosquitto_pub` and `mosquitto_sub` read them, one a line.
    fn mosquitto(&self, endpoints: &[Endpoint], id: &str, end: &str) -> String {
        let name = &self.device;
        let (host, port) = match endpoints.first() {
            Some(endpoint) => (endpoint.host.as_str(), endpoint.port()),
            None => ("localhost", PORT),
        };
        format!(
            "-h {host}\n-p {port}\n{id} {name}-{end}\n-q 1\n\
             --cafile ca.crt\n--cert {name}.crt\n--key {name}.key\n"
        )
    }

    fn readme(&self, device: &Device) -> String {
        let list = |filters: &[TopicFilter]| {
            let lines = filters.iter().map(|filter| format!("    {filter}\n"));
            lines.collect::<String>()
        };
        README
            .replace("@NAME@", self.device.as_str())
            .replace("@PUBLISH@", list(&device.publish).trim_end())
            .replace("@SUBSCRIBE@", list(&device.subscribe).trim_end())
            .replace("@TOPIC@", &example(device.publish.first()))
            .replace(
                "@FILTER@",
                device.subscribe.first().map_or("#", TopicFilter::as_str),
            )
    }
}

/// A topic that matches the filter.
fn example(filter: Option<&TopicFilter>) -> String {
    let Some(filter) = filter else {
        return "topic".to_owned();
    };
    let level = |level| match level {
        "+" => "line-1",
        "#" => "example",
        level => level,
    };
    filter.levels().map(level).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, example};

    #[test]
    fn endpoints_are_hosts_and_ports() {
        let listen = "0.0.0.0:1234".parse().ok();
        for (text, host, port) in [
            ("gateway", "gateway", 1234),
            ("gateway.example:99", "gateway.example", 99),
            ("10.0.0.7", "10.0.0.7", 1234),
            ("10.0.0.7:1", "10.0.0.7", 1),
            ("::1", "::1", 1234),
            ("[::1]:7", "::1", 7),
        ] {
            let endpoints = Endpoint::all(&[text.parse().unwrap()], listen);
            assert_eq!(endpoints[0].host, host);
            assert_eq!(endpoints[0].port(), port);
        }
        for bad in [
            "",
            ":1",
            "a b",
            "gateway:",
            "gateway:0",
            "gateway:99999",
            "a/b",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        let own = Endpoint::all(&[], "127.0.0.1:0".parse().ok());
        assert_eq!((own[0].host.as_str(), own[0].port()), ("127.0.0.1", 8883));
    }

    #[test]
    fn an_example_is_a_topic_that_the_filter_matches() {
        for text in ["telemetry/+/oven/#", "a", "+/+", "#"] {
            let filter: crate::names::TopicFilter = text.parse().unwrap();
            let topic = example(Some(&filter)).parse().unwrap();
            assert!(filter.matches(&topic), "{topic}");
        }
    }
}
