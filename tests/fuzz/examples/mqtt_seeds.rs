//! Makes the seeds of the MQTT targets anew.
//!
//! From the repository's root, so that nothing is instrumented:
//! `cargo run --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz/signer --example mqtt_seeds`

use std::path::Path;

/// What a client of 3.1.1 sends.
const CLIENT_3: &[&[u8]] = &[
    b"\x10\x1d\0\x04MQTT\x04\xce\0\x0a\0\x02c1\0\x01w\0\x04gone\0\x01u\0\x01p",
    b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/#\x02",
    b"\x32\x09\0\x03a/b\0\x0ahi",
    b"\x3d\x09\0\x03a/b\0\x0bhi",
    b"\x62\x02\0\x0b\x40\x02\0\x01\x50\x02\0\x02\x70\x02\0\x02",
    b"\xa2\x07\0\x0c\0\x03a/b",
    b"\xc0\0\xe0\0",
];
/// What a client of 5.0 sends.
const CLIENT_5: &[&[u8]] = &[
    b"\x10\x37\0\x04MQTT\x05\x42\0\x0a\x25\x21\0\x02\x27\0\0\x04\0\x22\0\x03\x19\x01\x17\0\
      \x15\0\x01m\x16\0\x02\xff\0\x26\0\x01k\0\x01v\x26\0\x01k\0\0\0\x02c1\0\x01p",
    b"\x82\x19\0\x0a\x02\x0b\x07\0\x03a/b\x0d\0\x0b$share/g/#x\x22",
    b"\x3d\x23\0\0\0\x0a\x1c\x01\x01\x02\0\0\0\x01\x23\0\x05\x08\0\x01r\x09\0\x01\0\
      \x26\0\0\0\x01v\x03\0\x01thi",
    b"\x40\x0f\0\x01\x10\x0b\x1f\0\x01t\x26\0\x01k\0\x01v\x62\x03\0\x01\x92",
    b"\x32\x08\0\x03a/+\0\x07\0",
    b"\xa2\x08\0\x0a\0\0\x03a/b",
    b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d",
    b"\xc0\0\xe0\x07\x04\x05\x11\xff\xff\xff\xff",
];
/// One with a will and all that it may say.
const WILL_5: &[u8] = b"\x10\x3f\0\x04MQTT\x05\x2e\0\x0a\x05\x11\0\0\0\x0a\0\x01c\
    \x20\x18\0\0\0\x05\x01\x01\x02\0\0\0\x09\x03\0\x01t\x08\0\x01r\x09\0\x01c\x26\0\x01k\0\x02vw\
    \0\x03w/w\0\x04gone";
/// What a server of 3.1.1 sends.
const SERVER_3: &[&[u8]] = &[
    b"\x20\x02\x01\0",
    b"\x90\x05\0\x01\0\x02\x80\xb0\x02\0\x0a",
    b"\x32\x09\0\x03a/b\0\x0ahi\x40\x02\0\x01\x50\x02\0\x02\x62\x02\0\x03\x70\x02\0\x02\xd0\0",
];
/// What a server of 5.0 sends.
const SERVER_5: &[&[u8]] = &[
    b"\x20\x0e\x01\0\x0b\x21\0\x14\x24\x01\x2a\0\x12\0\x01x",
    b"\x20\x25\0\x87\x22\x11\0\0\0\x01\x27\0\0\x10\0\x22\0\x05\x13\0\x3c\x25\0\x28\0\x29\0\
      \x1f\0\x01t\x1a\0\x01i\x1c\0\x01s",
    b"\x90\x06\0\x01\0\0\x02\x87\xb0\x05\0\x0a\0\x11\x8f",
    b"\x3d\x28\0\0\0\x0a\x21\x01\x01\x02\0\0\0\x01\x23\0\x05\x08\0\x01r\x09\0\x01\0\
      \x26\0\0\0\x01v\x0b\x01\x0b\xc8\x01\x03\0\x01thi",
    b"\x30\x08\0\x03a/b\0hi\x40\x03\0\x01\x10\x50\x02\0\x02\x62\x02\0\x03\x70\x02\0\x02\xd0\0",
    b"\xf0\x07\x18\x05\x15\0\x02md",
    b"\xe0\x0a\x9c\x08\x1f\0\x01t\x1c\0\x01s",
];

fn main() -> std::io::Result<()> {
    let (client_3, client_5) = (CLIENT_3.concat(), CLIENT_5.concat());
    let (server_3, server_5) = (SERVER_3.concat(), SERVER_5.concat());
    write("mqtt-server", "client-3", &client_3)?;
    write("mqtt-server", "client-5", &client_5)?;
    write("mqtt-server", "will-5", WILL_5)?;
    write("mqtt-client", "server-3", &[b"\0", &server_3[..]].concat())?;
    write(
        "mqtt-client",
        "server-5",
        &[b"\x01", &server_5[..]].concat(),
    )?;
    write(
        "mqtt-rewrite",
        "client-5",
        &[b"\x20\0", &client_5[..]].concat(),
    )?;
    write(
        "mqtt-rewrite",
        "server-5",
        &[b"\x05\x01", &server_5[..]].concat(),
    )
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    fs_err::create_dir_all(&folder)?;
    fs_err::write(folder.join(name), bytes)
}
