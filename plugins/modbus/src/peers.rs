//! The whole adapter against real servers: pymodbus, libmodbus, and one that
//! misbehaves. Servers live in `tests/peers/modbus`; a test whose server is
//! not installed says so and passes.

mod hostile;
mod real;
mod servers;
mod stopping;
mod world;
