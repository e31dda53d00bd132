use std::collections::BTreeSet;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::{
    AMAZON_ROOT, ASSETS, Device, Encoding, Kind, Machine, Machines, Options, Way, deployment_text,
};
use crate::tls::Fingerprint;

fn deployment() -> toml::Table {
    deployment_text(&|device| 5000 + device as u16)
        .parse()
        .unwrap()
}

fn text<'a>(value: &'a toml::Value, key: &str) -> &'a str {
    value
        .get(key)
        .and_then(toml::Value::as_str)
        .unwrap_or_default()
}

#[test]
fn the_deployment_describes_the_machines_registers() {
    let deployment = deployment();
    let devices = deployment["plugins"]["modbus"]["config"]["devices"]
        .as_array()
        .unwrap();
    let served = Device::ALL.map(|device| (device.way() == Way::Modbus).then_some(device));
    let served: Vec<Device> = served.into_iter().flatten().collect();
    assert_eq!(devices.len(), served.len());
    for (device, own) in devices.iter().zip(served) {
        let kind = own.kind();
        assert_eq!(text(device, "name"), own.name());
        assert_eq!(
            text(device, "address"),
            format!("127.0.0.1:{}", 5000 + own as u16)
        );
        let points = device["points"].as_array().unwrap();
        for (point, reading) in points.iter().zip(kind.points()) {
            let scale = point
                .get("scale")
                .and_then(toml::Value::as_float)
                .unwrap_or(1.0);
            let encoding = match text(point, "type") {
                "f32" => Encoding::F32,
                "u16" => Encoding::U16(scale),
                other => panic!("{other}"),
            };
            assert_eq!(text(point, "table"), "input");
            assert_eq!(text(point, "name"), reading.name);
            assert_eq!(text(point, "unit"), reading.unit);
            assert_eq!(point["address"].as_integer(), Some(reading.address.into()));
            assert_eq!(encoding, reading.encoding, "{}", reading.name);
        }
        assert_eq!(points.len(), kind.points().len() + 1);
    }
}

#[test]
fn the_deployment_names_its_files_and_the_machines_faults() {
    let deployment = deployment();
    let models = deployment["models"].as_table().unwrap();
    let named: BTreeSet<&str> = models
        .values()
        .flat_map(|model| [text(model, "path"), text(model, "golden")])
        .collect();
    assert_eq!(named, ASSETS.iter().map(|(name, _)| *name).collect());
    for kind in Kind::ALL {
        let detector = &deployment["plugins"][&format!("detector-{}", kind.short())]["config"];
        let labels = detector["kinds"]["labels"].as_array().unwrap();
        assert!(
            labels
                .iter()
                .any(|label| label.as_str() == Some(kind.fault()))
        );
        let features = detector["features"].as_array().unwrap();
        assert!(features.len() > 10, "train.py has not written them");
    }
    assert!(!deployment.to_string().contains("{port"));
}

#[tokio::test]
async fn every_machine_that_is_a_server_has_a_port_of_its_own() {
    let machines = Machines::start(&Options::default()).await.unwrap();
    let text = machines.deployment_text();
    let servers = machines.into_servers();
    let ports: BTreeSet<u16> = servers
        .iter()
        .map(|(_, server)| server.address().port())
        .collect();
    assert_eq!(ports.len(), 3);
    for port in ports {
        assert!(text.contains(&format!("127.0.0.1:{port}")));
    }
}

#[test]
fn every_machine_has_a_name_and_a_run_of_its_own() {
    let names: BTreeSet<&str> = Device::ALL.iter().map(|device| device.name()).collect();
    assert_eq!(names.len(), Device::ALL.len());
    for device in Device::ALL {
        assert_eq!(Device::named(device.name()), Some(device));
    }
    let reading = |device: Device| Machine::new(device.kind(), device.seed(1)).read();
    assert_ne!(reading(Device::Pump1), reading(Device::Pump2));
}

#[test]
fn the_plugins_get_the_topics_of_their_machines_and_no_other() {
    let plugins = deployment()["plugins"].as_table().unwrap().clone();
    let granted = |plugin: &str, what: &str| -> BTreeSet<String> {
        let filters = plugins[plugin]["grants"][what].as_array().unwrap();
        let filters = filters
            .iter()
            .map(|filter| filter.as_str().unwrap().to_owned());
        filters.collect()
    };
    let of = |prefix: &str, suffix: &str, wanted: &dyn Fn(Device) -> bool| {
        let devices = Device::ALL.into_iter().filter(|device| wanted(*device));
        let topics = devices.map(|device| format!("{prefix}/plant/{}{suffix}", device.name()));
        topics.collect::<BTreeSet<_>>()
    };
    let polled = |device: Device| device.way() == Way::Modbus;
    assert_eq!(granted("modbus", "subscribe"), of("command", "/+", &polled));
    let mut published = of("telemetry", "", &polled);
    published.insert("reply/#".to_owned());
    assert_eq!(granted("modbus", "publish"), published);
    for kind in Kind::ALL {
        let own = |device: Device| device.kind() == kind;
        let (window, detector) = (
            format!("window-{}", kind.short()),
            format!("detector-{}", kind.short()),
        );
        assert_eq!(granted(&window, "subscribe"), of("telemetry", "", &own));
        assert_eq!(granted(&window, "publish"), of("feature", "", &own));
        assert_eq!(granted(&detector, "subscribe"), of("feature", "", &own));
        let mut published = of("score", "", &own);
        published.extend(of("anomaly", "", &own));
        assert_eq!(granted(&detector, "publish"), published);
    }
}

#[test]
fn the_root_of_aws_iot_core_is_the_one_that_amazon_publishes() {
    let root = CertificateDer::from_pem_slice(AMAZON_ROOT.as_bytes()).unwrap();
    let fingerprint = Fingerprint::of(&root).to_string().replace(':', "");
    let published = "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e";
    assert_eq!(fingerprint.to_lowercase(), published);
}
