//! The plugin: its configuration, and a loop that ends when the host says so.

use std::time::Duration;

use selvedge_plugin::{Lifecycle, Service};

use crate::config::{self, Device};

/// Reads and writes Modbus/TCP devices.
#[derive(Debug)]
pub struct Modbus {
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "natively there is no host to run in")
    )]
    devices: Vec<Device>,
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "natively there is no host to run in")
    )]
    command_age_max: Duration,
}

impl Lifecycle for Modbus {
    fn init(config: &selvedge_plugin::Config) -> Result<Self, String> {
        let config: config::Config = config.parse()?;
        Ok(Self {
            command_age_max: Duration::from_millis(config.command_age_ms_max.into()),
            devices: config.devices().map_err(|faults| faults.to_string())?,
        })
    }
}

impl Service for Modbus {
    #[cfg(target_family = "wasm")]
    fn run(&mut self) -> Result<(), String> {
        use crate::sandbox::{HostBus, Sandbox};

        let (net, bus) = (Sandbox, HostBus::new());
        let engine = crate::engine::run(&net, &bus, self.devices.clone(), self.command_age_max);
        crate::reactor::block_on(engine).map_err(|stuck| stuck.to_string())
    }

    #[cfg(not(target_family = "wasm"))]
    fn run(&mut self) -> Result<(), String> {
        Err("runs only in the sandbox".to_owned())
    }
}

selvedge_plugin::export!(Modbus: Lifecycle, Service);
