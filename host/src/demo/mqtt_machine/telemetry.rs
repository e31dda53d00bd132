//! What a machine measures, as the Modbus plugin would say it: SenML (RFC 8428).

use jiff::Timestamp;
use serde::Serialize;

use crate::demo::machine::Machine;

/// Its media type.
pub(super) const CONTENT_TYPE: &str = "application/senml+json";

#[derive(Serialize)]
struct Record {
    n: &'static str,
    u: &'static str,
    v: f64,
    t: f64,
}

/// What all its sensors say now.
pub(super) fn readings(machine: &Machine) -> Vec<u8> {
    let t = now_s();
    let points = machine.kind().points().iter().zip(machine.read());
    let records = points.map(|(point, v)| Record {
        n: point.name,
        u: point.unit,
        v,
        t,
    });
    pack(records.collect())
}

/// The setpoint that may be written, as it is now.
pub(super) fn controls(machine: &mut Machine) -> Vec<u8> {
    let (n, u) = super::command::SPEED;
    let v = machine.registers().setpoint(0);
    let t = now_s();
    pack(vec![Record { n, u, v, t }])
}

fn pack(records: Vec<Record>) -> Vec<u8> {
    serde_json::to_vec(&records).expect("readings are plain data")
}

fn now_s() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}
