//! A whole line over simulated machines: `selvedge demo`.
//!
//! The machines are real Modbus/TCP servers and a real MQTT client, the cloud is a
//! real broker, and the line is an ordinary deployment of the shipped plugins;
//! nothing here is known to the host. This module makes the machines and the cloud,
//! writes the deployment, and watches as any party could: to show what happens, and
//! to judge it against what was injected.

mod client;
mod cloud;
mod device;
mod event;
mod folder;
mod machine;
mod modbus_server;
mod mqtt_machine;
mod noise;
mod oven;
mod press;
mod pump;
mod registers;
mod running;
mod scenario;
mod site;
mod stand_in;
mod uplink;
mod view;
mod watch;

use std::time::Duration;

pub use cloud::Cloud;
pub use device::{Device, Way};
pub use event::{Event, State};
pub use machine::{Encoding, Kind, Machine, Reading, Schedule};
pub use modbus_server::{ModbusServer, ServeError};
pub use mqtt_machine::{Gateway, MqttMachine};
pub use running::Armer;
pub use scenario::{Judge, Plan, Summary, Verdict};
pub use site::{Site, SiteError};
pub use uplink::Account;
pub use watch::{Sources, WATCHED, watch};

/// The shortest run in which every fault can show, be answered and calm down.
pub const DURATION_MIN: Duration = Duration::from_secs(40);

/// How the demo is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// From the moment that every machine is read; forever if absent. At least
    /// [`DURATION_MIN`], or the run cannot pass.
    pub duration: Option<Duration>,
    /// Print each event as a JSON object, and the summary last.
    pub json: bool,
    /// Whether the output is a terminal, to be drawn in place.
    pub terminal: bool,
    /// The same seed gives the same machines and faults.
    pub seed: u64,
}

/// The machines; those that are servers listen. Faults come once armed.
#[derive(Debug)]
pub struct Machines {
    servers: Vec<(Device, ModbusServer)>,
    pump: MqttMachine,
    director: Director,
}

impl Machines {
    /// # Errors
    /// No port can be had.
    pub async fn start(options: &Options) -> Result<Self, ServeError> {
        let plan = Plan::new(options.seed, options.duration);
        let machine = |device: Device| {
            let machine = Machine::new(device.kind(), device.seed(options.seed));
            match plan.schedule(device) {
                Some(schedule) => machine.with_fault(schedule),
                None => machine,
            }
        };
        let mut servers = Vec::with_capacity(Device::ALL.len());
        for device in Device::ALL {
            if device.way() == Way::Modbus {
                servers.push((device, ModbusServer::bind(machine(device)).await?));
            }
        }
        let pump = MqttMachine::new(Device::Pump2, machine(Device::Pump2));
        let armers = servers.iter().map(|(_, server)| server.armer());
        let armers = armers.chain([pump.armer()]).collect();
        let director = Director { plan, armers };
        Ok(Self {
            servers,
            pump,
            director,
        })
    }

    /// The deployment that joins them, to be written beside [`ASSETS`].
    pub fn deployment_text(&self) -> String {
        let port = |device| {
            let server = self.servers.iter().find(|(other, _)| *other == device);
            server.map_or(0, |(_, server)| server.address().port())
        };
        deployment_text(&port)
    }

    /// Who starts the faults' clock: [`watch()`] needs it.
    pub fn director(&self) -> Director {
        self.director.clone()
    }

    /// The machine that is a client, to be run by a unit of its own.
    pub fn mqtt(&self) -> MqttMachine {
        self.pump.clone()
    }

    /// The servers, each to be run by a unit of its own.
    pub fn into_servers(self) -> Vec<(Device, ModbusServer)> {
        self.servers
    }
}

/// Knows the faults and starts their clock.
#[derive(Debug, Clone)]
pub struct Director {
    plan: Plan,
    armers: Vec<Armer>,
}

impl Director {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts the clock of all machines.
    pub fn arm(&self) {
        self.armers.iter().for_each(Armer::arm);
    }
}

/// The files that the deployment names, beside which it is to be written.
pub const ASSETS: [(&str, &[u8]); 6] = [
    ("pump.onnx", include_bytes!("demo/assets/pump.onnx")),
    (
        "pump.golden.json",
        include_bytes!("demo/assets/pump.golden.json"),
    ),
    ("press.onnx", include_bytes!("demo/assets/press.onnx")),
    (
        "press.golden.json",
        include_bytes!("demo/assets/press.golden.json"),
    ),
    ("oven.onnx", include_bytes!("demo/assets/oven.onnx")),
    (
        "oven.golden.json",
        include_bytes!("demo/assets/oven.golden.json"),
    ),
];

/// Amazon Root CA 1, which vouches for AWS IoT Core: a public certificate, to be had
/// at <https://www.amazontrust.com/repository/AmazonRootCA1.pem>.
const AMAZON_ROOT: &str = include_str!("demo/assets/AmazonRootCA1.pem");

/// The deployment, with the machines' ports filled in.
pub fn deployment_text(port: &dyn Fn(Device) -> u16) -> String {
    let mut text = include_str!("demo/assets/demo.toml").to_owned();
    for device in Device::ALL {
        let place = format!("{{port:{}}}", device.name());
        text = text.replace(&place, &port(device).to_string());
    }
    text
}

#[cfg(test)]
mod tests;
