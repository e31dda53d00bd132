//! What idle plugins hold in memory; in a process of its own, so that nothing
//! else is counted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{all_cores, resident_bytes};
use crate::raw::Raw;
use crate::report::{Bar, Figure, Row};
use crate::world::{Role, World, running};

/// The first argument of such a process.
pub(crate) const CHILD: &str = "--idle-child";

/// Long enough for what is freed late.
const SETTLE: Duration = Duration::from_millis(300);

/// What one process found, in bytes.
struct Found {
    each: f64,
    all: f64,
}

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let guest = guests.path("bench_pass");
    let directory = tempfile::tempdir()?;
    // Compiles it, so that no process counted below does.
    ask("ours", 1, directory.path(), &guest)?;
    let raw = ask("raw", 1_000, directory.path(), &guest)?;
    let mut rows = Vec::new();
    for count in [100, 1_000] {
        let ours = ask("ours", count, directory.path(), &guest)?;
        let what = format!("{count} idle plugins: each");
        rows.push(
            Row::new(what, Figure::Bytes(ours.each))
                .raw(Figure::Bytes(raw.each))
                .bar(Bar::Figure(Figure::Bytes(200.0 * 1024.0))),
        );
        if count == 1_000 {
            let bar = Bar::Figure(Figure::Bytes(300.0 * 1024.0 * 1024.0));
            rows.push(
                Row::new(
                    "1,000 idle plugins: the whole host",
                    Figure::Bytes(ours.all),
                )
                .bar(bar),
            );
        }
    }
    Ok(rows)
}

fn ask(what: &str, count: u32, directory: &Path, guest: &Path) -> Outcome<Found> {
    let output = Command::new(std::env::current_exe()?)
        .args([CHILD, what, &count.to_string()])
        .args([directory, guest])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let bytes = |key: &str| found.get(key).and_then(Value::as_f64).ok_or("no answer");
    Ok(Found {
        each: bytes("each")?,
        all: bytes("all")?,
    })
}

/// The process: starts plugins and says on standard output what they take.
pub(crate) fn child(options: &[&str]) -> Outcome<()> {
    let [what, count, directory, guest] = options else {
        return Err("expected what, count, directory and guest".into());
    };
    let count: u32 = count.parse()?;
    let wasm = fs_err::read(guest)?;
    let (before, after) = all_cores()?.block_on(async {
        match *what {
            "raw" => raw(count, &wasm).await,
            _ => ours(count, Path::new(directory), &wasm).await,
        }
    })?;
    let each = (after - before) / f64::from(count);
    println!("{}", json!({"each": each, "all": after}));
    Ok(())
}

async fn ours(count: u32, directory: &Path, wasm: &[u8]) -> Outcome<(f64, f64)> {
    let world = World::new(directory, count + 1)?;
    // The first one pays for what all share.
    start(&world, wasm, 0).await?;
    sleep(SETTLE).await;
    let before = resident_bytes("self")?;
    for index in 1..=count {
        start(&world, wasm, index).await?;
    }
    sleep(SETTLE).await;
    let after = resident_bytes("self")?;
    world.supervisor.shut_down().await;
    Ok((before, after))
}

/// Starts a plugin as a deployment does, with topics of its own.
async fn start(world: &World, wasm: &[u8], index: u32) -> Outcome<()> {
    let (name, to) = (format!("pass-{index}"), format!("out/{index}"));
    let from = format!("in/{index}");
    let role = Role {
        name: &name,
        from: &[&from],
        to: &[&to],
        config: json!({"to": to}),
        ..Role::default()
    };
    running(world.start(world.prepare(&role, wasm)?)?).await
}

async fn raw(count: u32, wasm: &[u8]) -> Outcome<(f64, f64)> {
    let raw = Raw::new(wasm, count + 1)?;
    let mut instances = Vec::new();
    let mut before = 0.0;
    for index in 0..=count {
        let mut instance = raw.instantiate().await?;
        instance.init().await?;
        instances.push(instance);
        if index == 0 {
            sleep(SETTLE).await;
            before = resident_bytes("self")?;
        }
    }
    sleep(SETTLE).await;
    Ok((before, resident_bytes("self")?))
}
