//! Base fields applied to the records that follow them (section 4.6).

use super::wire::Wire;
use super::{Entry, Quality, Record, SenmlError, Value, base64, is_valid_name};

/// Times below this count from now, others from the Unix epoch (section 4.5.3).
const ABSOLUTE_TIME_MIN: f64 = 268_435_456.0;

/// The version that RFC 8428 defines.
const VERSION: u64 = 10;

/// Each record with the base fields before and in it.
pub(super) fn resolve(wires: Vec<Wire>, now: f64) -> Result<Vec<Entry>, SenmlError> {
    let mut base = Wire::default();
    let mut entries = Vec::with_capacity(wires.len());
    for mut wire in wires {
        check_version(&mut base, wire.bver)?;
        base.bn = wire.bn.take().or(base.bn);
        base.bt = wire.bt.or(base.bt);
        base.bu = wire.bu.take().or(base.bu);
        base.bv = wire.bv.or(base.bv);
        base.bs = wire.bs.or(base.bs);
        if let Some(entry) = one(&base, wire, now)? {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// All records of a pack are of one version, and of one we know (section 4.4).
fn check_version(base: &mut Wire, version: Option<u64>) -> Result<(), SenmlError> {
    let Some(version) = version else {
        return Ok(());
    };
    if !(1..=VERSION).contains(&version) {
        let text = format!("version {version} is not known, only up to {VERSION}");
        return Err(SenmlError(text));
    }
    match base.bver.replace(version) {
        Some(former) if former != version => {
            let text = format!("versions {former} and {version} in one pack");
            Err(SenmlError(text))
        }
        _ => Ok(()),
    }
}

/// One record; `None` if it only sets base fields.
fn one(base: &Wire, wire: Wire, now: f64) -> Result<Option<Entry>, SenmlError> {
    let sets_only_base = wire.n.is_none() && wire.q.is_none() && wire.s.is_none();
    let value = match (wire.v, wire.vb, wire.vs, wire.vd) {
        (Some(number), None, None, None) => Value::Number(number + base.bv.unwrap_or(0.0)),
        (None, Some(bool), None, None) => Value::Bool(bool),
        (None, None, Some(text), None) => Value::Text(text),
        (None, None, None, Some(text)) => Value::Data(
            base64::decode(&text).ok_or_else(|| SenmlError("`vd` is not base64url".to_owned()))?,
        ),
        (None, None, None, None) if sets_only_base => return Ok(None),
        // Section 4.5.4: a missing value counts as 0 on top of a base value.
        (None, None, None, None) => match base.bv {
            Some(number) if wire.q.is_none() && wire.s.is_none() => Value::Number(number),
            _ => Value::Missing,
        },
        _ => return Err(SenmlError("a record with more than one value".to_owned())),
    };
    let mut name = base.bn.clone().unwrap_or_default();
    name.push_str(wire.n.as_deref().unwrap_or_default());
    if !is_valid_name(&name) {
        let shown: String = name.chars().take(64).collect();
        return Err(SenmlError(format!("`{shown}` is not a record's name")));
    }
    let sum = match (base.bs, wire.s) {
        (None, None) => None,
        (base, sum) => Some(base.unwrap_or(0.0) + sum.unwrap_or(0.0)),
    };
    let why = wire.why.unwrap_or_default();
    let quality = match wire.q.as_deref() {
        None if value == Value::Missing && sum.is_none() => Quality::Bad("no value".to_owned()),
        None | Some("good") => Quality::Good,
        Some("uncertain") => Quality::Uncertain(why),
        Some(_) => Quality::Bad(why),
    };
    let record = Record {
        name,
        unit: wire.u.or_else(|| base.bu.clone()),
        value,
        time: time(base.bt.unwrap_or(0.0) + wire.t.unwrap_or(0.0), now)?,
        quality,
    };
    Ok(Some(Entry {
        record,
        sum,
        update_time: wire.ut,
    }))
}

fn time(time: f64, now: f64) -> Result<f64, SenmlError> {
    let absolute = if time < ABSOLUTE_TIME_MIN {
        now + time
    } else {
        time
    };
    if absolute.is_finite() {
        Ok(absolute)
    } else {
        Err(SenmlError("a time that is not finite".to_owned()))
    }
}
