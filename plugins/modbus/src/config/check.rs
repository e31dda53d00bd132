//! The rules that no single field can state.

use std::collections::HashSet;
use std::fmt;

use super::{Config, Device, Group, Point};
use crate::pdu::{BITS_READ_MAX, REGISTERS_READ_MAX};
use crate::value::Type;

const DEVICES_MAX: usize = 256;
const POINTS_MAX: usize = 1024;
const GROUPS_MAX: usize = 32;
/// Bytes of a text that one write can carry.
const TEXT_MAX: u16 = 246;

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Faults {}

impl Faults {
    fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }
}

impl Config {
    /// The devices, with profiles and defaults applied.
    ///
    /// # Errors
    /// Names all faults.
    pub fn devices(self) -> Result<Vec<Device>, Faults> {
        let mut faults = Faults(Vec::new());
        let count = self.devices.len();
        faults.unless((1..=DEVICES_MAX).contains(&count), || {
            format!("{count} devices, not 1 to {DEVICES_MAX}")
        });
        let mut seen = HashSet::new();
        let mut devices = self.devices;
        for device in &mut devices {
            if let Some(name) = &device.profile {
                match self.profiles.get(name) {
                    Some(profile) => {
                        device.points.extend(profile.points.iter().cloned());
                        device.groups.extend(profile.groups.iter().cloned());
                    }
                    None => faults
                        .0
                        .push(format!("{}: no profile `{name}`", device.name)),
                }
            }
            for point in &mut device.points {
                point.settle(device.order);
            }
            check_device(device, &mut faults);
            let key = (device.site.clone(), device.name.clone());
            faults.unless(seen.insert(key), || {
                format!("{}: twice in site `{}`", device.name, device.site)
            });
        }
        for device in &devices {
            let first = devices.iter().find(|one| one.address == device.address);
            faults.unless(first.is_none_or(|first| first.tid == device.tid), || {
                format!("{}: `tid` differs from others at its address", device.name)
            });
        }
        if faults.0.is_empty() {
            Ok(devices)
        } else {
            Err(faults)
        }
    }
}

fn check_device(device: &Device, faults: &mut Faults) {
    let name = &device.name;
    for (field, level) in [("name", name), ("site", &device.site)] {
        faults.unless(is_level(level), || {
            format!("{name}: `{field}` `{level}` is not one topic level")
        });
    }
    faults.unless(is_address(&device.address), || {
        format!("{name}: `address` `{}` is not host:port", device.address)
    });
    let bounds = [
        ("timeout_ms", device.timeout_ms, 1, 60_000),
        ("delay_ms", device.delay_ms, 0, 60_000),
        ("failures_max", device.failures_max, 1, 1_000),
        ("backoff_ms_min", device.backoff_ms_min, 1, 3_600_000),
        (
            "backoff_ms_max",
            device.backoff_ms_max,
            device.backoff_ms_min,
            3_600_000,
        ),
        (
            "registers_max",
            device.registers_max.into(),
            1,
            REGISTERS_READ_MAX.into(),
        ),
        ("bits_max", device.bits_max.into(), 1, BITS_READ_MAX.into()),
        ("refused_ms", device.refused_ms, 1_000, 86_400_000),
    ];
    for (field, value, min, max) in bounds {
        faults.unless((min..=max).contains(&value), || {
            format!("{name}: `{field}` is {value}, not {min} to {max}")
        });
    }
    faults.unless(
        device.points.len() <= POINTS_MAX && device.groups.len() <= GROUPS_MAX,
        || format!("{name}: more than {POINTS_MAX} points or {GROUPS_MAX} groups"),
    );
    let mut names = HashSet::new();
    for point in &device.points {
        faults.unless(names.insert(point.name.as_str()), || {
            format!("{name}/{}: there twice", point.name)
        });
        check_point(device, point, faults);
    }
    for group in &device.groups {
        check_group(name, group, &names, faults);
    }
}

fn check_point(device: &Device, point: &Point, faults: &mut Faults) {
    let mut need = |holds: bool, fault: &str| {
        faults.unless(holds, || format!("{}/{}: {fault}", device.name, point.name));
    };
    need(
        is_series(&point.name),
        "the name is not letters, digits and `-:._`, a letter or digit first",
    );
    need(
        point.name != "modbus",
        "the name `modbus` is taken by raw requests",
    );
    need(
        !point.table.is_bits() || point.kind == Type::Bool,
        "a table of bits holds `bool` only",
    );
    need(
        (point.kind == Type::Bit) == point.bit.is_some(),
        "`bit` belongs to the type `bit`",
    );
    need(point.bit.unwrap_or(0) <= 15, "`bit` is beyond 15");
    need(
        (point.kind == Type::String) == point.length.is_some(),
        "`length` belongs to the type `string`",
    );
    need(
        (1..=TEXT_MAX).contains(&point.length.unwrap_or(1)),
        "`length` is not 1 to 246",
    );
    need(
        point.span() <= device.registers_max,
        "longer than `registers_max`",
    );
    need(
        u32::from(point.address) + u32::from(point.span()) <= 0x1_0000,
        "reaches beyond address 65535",
    );
    need(
        point.scale.is_finite() && point.scale != 0.0 && point.offset.is_finite(),
        "`scale` is 0 or not finite",
    );
    need(
        !point.writable || point.table.is_writable(),
        "`writable`, but its table is read only",
    );
    need(
        point.writable || (point.min.is_none() && point.max.is_none()),
        "`min` and `max` belong to `writable`",
    );
    need(
        point.min.unwrap_or(f64::MIN) <= point.max.unwrap_or(f64::MAX),
        "`min` is above `max`",
    );
}

fn check_group(device: &str, group: &Group, points: &HashSet<&str>, faults: &mut Faults) {
    let name = &group.name;
    faults.unless((10..=86_400_000).contains(&group.interval_ms), || {
        format!("{device}, group `{name}`: `interval_ms` is not 10 to 86400000")
    });
    faults.unless(group.phase_ms < group.interval_ms, || {
        format!("{device}, group `{name}`: `phase_ms` is not below `interval_ms`")
    });
    faults.unless(!group.points.is_empty(), || {
        format!("{device}, group `{name}`: no points")
    });
    let mut seen = HashSet::new();
    for point in &group.points {
        faults.unless(points.contains(point.as_str()), || {
            format!("{device}, group `{name}`: no point `{point}`")
        });
        faults.unless(seen.insert(point), || {
            format!("{device}, group `{name}`: point `{point}` twice")
        });
    }
}

fn is_level(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text
            .chars()
            .any(|char| matches!(char, '/' | '+' | '#') || char.is_control())
}

/// One topic level that is also a SenML name (RFC 8428 section 4.5.1).
fn is_series(name: &str) -> bool {
    is_level(name)
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-:._".contains(&byte))
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0))
}
