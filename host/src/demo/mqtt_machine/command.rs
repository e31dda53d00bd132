//! Commands, carried out on the machine's registers, and what is answered.

use serde_json::{Value as Json, json};

use crate::demo::machine::Machine;

/// The one that is known: the setpoint of the pump's speed, and its unit.
pub(super) const SPEED: (&str, &str) = ("speed_setpoint", "1/min");

/// Does what `payload` asks of the point called `name`; the answer.
pub(super) fn carry_out(machine: &mut Machine, name: &str, payload: &[u8]) -> Json {
    if name != SPEED.0 {
        return refused("unknown-point", "there is no such point");
    }
    let Ok(json) = serde_json::from_slice::<Json>(payload) else {
        return refused("payload-invalid", "the payload is not JSON");
    };
    let value = json.get("value").unwrap_or(&json);
    let Some(speed) = value.as_u64() else {
        return refused("value-invalid", "the value is not a whole number");
    };
    let registers = machine.registers();
    let written = u16::try_from(speed).is_ok_and(|speed| {
        // The registers know their bounds.
        registers.write_holding(0, &[speed]).is_ok()
    });
    match written {
        true => json!({"ok": true, "value": speed}),
        false => refused("out-of-range", "the value is out of range"),
    }
}

fn refused(code: &str, error: &str) -> Json {
    json!({"ok": false, "code": code, "error": error})
}

#[cfg(test)]
mod tests {
    use super::carry_out;
    use crate::demo::{Kind, Machine};

    #[test]
    fn a_command_is_carried_out_or_answered_with_what_is_wrong() {
        let check = |name: &str, payload: &str, code: Option<&str>| {
            let mut pump = Machine::new(Kind::Pump, 1);
            let before = pump.registers().setpoint(0);
            let answer = carry_out(&mut pump, name, payload.as_bytes());
            assert_eq!(answer["code"].as_str(), code, "{payload}");
            assert_eq!(answer["ok"], code.is_none(), "{payload}");
            let after = pump.registers().setpoint(0);
            let expected = if code.is_none() { 1500.0 } else { before };
            assert_eq!(after, expected, "{payload}");
        };
        check("speed_setpoint", r#"{"value":1500}"#, None);
        check("speed_setpoint", "1500", None);
        check("speed_setpoint", "3001", Some("out-of-range"));
        check("speed_setpoint", "70000", Some("out-of-range"));
        check("speed_setpoint", "-1", Some("value-invalid"));
        check(
            "speed_setpoint",
            r#"{"value":"fast"}"#,
            Some("value-invalid"),
        );
        check("speed_setpoint", "", Some("payload-invalid"));
        check("valve", "1500", Some("unknown-point"));
    }
}
