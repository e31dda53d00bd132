//! A whole line over simulated machines: `selvedge demo`.
//!
//! The machines are real Modbus/TCP servers and the line is an ordinary
//! deployment of the shipped plugins; nothing here is known to the host. This
//! module makes the machines, writes the deployment, and watches the bus as any
//! party could: to show what happens, and to judge it against what was injected.

mod machine;
mod modbus_server;
mod noise;
mod oven;
mod press;
mod pump;
mod registers;

pub use machine::{Encoding, Kind, Machine, Reading, Schedule};
pub use modbus_server::{Armer, ModbusServer, ServeError};

/// The deployment, with the machines' ports filled in.
pub fn deployment_text(port: &dyn Fn(Kind) -> u16) -> String {
    let mut text = include_str!("demo/assets/demo.toml").to_owned();
    for kind in Kind::ALL {
        let place = format!("{{port:{}}}", kind.device());
        text = text.replace(&place, &port(kind).to_string());
    }
    text
}
