use std::collections::BTreeSet;

use super::{ASSETS, Device, Encoding, Kind, Machines, Options, deployment_text};

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
    assert_eq!(devices.len(), Device::ALL.len());
    for (device, own) in devices.iter().zip(Device::ALL) {
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
async fn every_machine_has_a_port_of_its_own() {
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
