//! Which client ids a device may use.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::names::PartyName;

/// Bytes of a client id.
const CLIENT_ID_BYTES_MAX: usize = 128;
/// Random bytes of a client id that the broker gives.
const GIVEN_BYTES: usize = 12;

/// Whether `device` may call itself so: by its name, or by one that begins with it.
pub(super) fn belongs(device: &PartyName, client_id: &str) -> bool {
    let Some(rest) = client_id.strip_prefix(device.as_str()) else {
        return false;
    };
    client_id.len() <= CLIENT_ID_BYTES_MAX
        && !client_id.contains(char::is_control)
        && (rest.is_empty() || rest.starts_with(['/', '-', ':', '.']))
}

/// A client id for a device that left it to the broker.
pub(super) fn give(device: &PartyName) -> Result<Arc<str>, getrandom::Error> {
    let mut random = [0; GIVEN_BYTES];
    getrandom::fill(&mut random)?;
    let mut id = format!("{device}/");
    for byte in random {
        write!(id, "{byte:02x}").expect("writing to text does not fail");
    }
    Ok(id.into())
}

#[cfg(test)]
mod tests {
    use super::{belongs, give};

    #[test]
    fn a_client_id_is_the_devices_name_or_begins_with_it() {
        let device = "press-1".parse().unwrap();
        for own in ["press-1", "press-1/a", "press-1-b", "press-1:", "press-1.c"] {
            assert!(belongs(&device, own), "{own}");
        }
        let long = format!("press-1/{}", "x".repeat(121));
        for other in [
            "",
            "press-2",
            "press-12",
            "press",
            "xpress-1",
            "press-1/\u{7f}",
            &long,
        ] {
            assert!(!belongs(&device, other), "{other}");
        }
    }

    #[test]
    fn a_given_client_id_belongs_to_the_device_and_comes_once() {
        let device = "press-1".parse().unwrap();
        let (one, other) = (give(&device).unwrap(), give(&device).unwrap());
        assert!(belongs(&device, &one));
        assert_ne!(one, other);
    }
}
