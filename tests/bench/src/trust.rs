//! What it costs to trust: a verdict against a hash of the same bytes, and what
//! comes before a plugin's start.

use bytes::Bytes;
use selvedge::artifacts::candidate;
use selvedge::spec::Limits;
use selvedge_artifact::{Digest, Packaged, attachment, media_type};
use selvedge_registry::Layout;
use serde_json::json;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{best_of_all, one_core};
use crate::report::{Bar, Figure, Row};
use crate::signed::{Signed, package, padded};
use crate::world::{Role, World};

const ROUNDS: u32 = 20;
const VERDICTS: usize = 5;
/// As large as the plugin that the bar is about.
const COMPONENT_BYTES: usize = 2 << 20;
/// What a verdict may take beside the hash.
const OVER: Bar = Bar::Over(Figure::Nanos(5e6));

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let component = padded(guests.read("bench_pass")?, COMPONENT_BYTES)?;
    let packaged = package(component.into())?;
    let keyed = Signed::with_key(&packaged)?;
    let keyless = Signed::without_key(&packaged)?;
    let mut rows = Vec::new();
    rows.extend(keyless.as_ref().map(|signed| verdict("keyless", signed)));
    rows.push(verdict("managed key", &keyed));
    let mut rows = rows.into_iter().collect::<Outcome<Vec<_>>>()?;
    let signed = keyless.unwrap_or(keyed);
    rows.push(one_core()?.block_on(async { start(&packaged, &signed) })?);
    Ok(rows)
}

fn verdict(kind: &str, signed: &Signed) -> Outcome<Row> {
    let component = signed
        .candidate
        .component()
        .ok_or("a plugin has a component")?;
    let (mut ours, mut hash) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        ours = ours.min(best_of_all(1, VERDICTS, || {
            for _ in 0..VERDICTS {
                drop(signed.verify()?);
            }
            Ok(())
        })?);
        hash = hash.min(best_of_all(1, VERDICTS, || {
            for _ in 0..VERDICTS {
                std::hint::black_box(Digest::of(std::hint::black_box(component)));
            }
            Ok(())
        })?);
    }
    let row = Row::new(format!("verify 2 MiB, {kind}"), Figure::Nanos(ours));
    Ok(row.raw(Figure::Nanos(hash)).bar(OVER))
}

/// From the store to what can be instantiated, against the last step alone.
fn start(packaged: &Packaged, signed: &Signed) -> Outcome<Row> {
    let directory = tempfile::tempdir()?;
    let layout = Layout::open(&directory.path().join("store"))?;
    keep(&layout, packaged)?;
    let bundle = signed.candidate.bundles.first();
    let bundle: Bytes = bundle.cloned().unwrap_or_default();
    let kind = media_type::SIGSTORE_BUNDLE;
    let about = packaged.descriptor();
    keep(
        &layout,
        &attachment(about, kind, bundle, Default::default()),
    )?;

    let world = World::new(directory.path(), 4)?;
    let role = Role {
        name: "pass",
        from: &["a"],
        to: &["line/to"],
        config: json!({"to": "line/to"}),
        ..Role::default()
    };
    let digest = packaged.digest();
    let verified = signed.verify()?;
    // Compiles it, so that nothing measured does; dropped, so that its code is
    // not in memory already.
    drop(world.compile(&role, &verified, Limits::default())?);
    let cached = best_of_all(ROUNDS, VERDICTS, || {
        for _ in 0..VERDICTS {
            drop(world.compile(&role, &verified, Limits::default())?);
        }
        Ok(())
    })?;
    let all = best_of_all(ROUNDS, VERDICTS, || {
        for _ in 0..VERDICTS {
            let verified = signed.verify_read(&candidate(&layout, &digest)?)?;
            drop(world.compile(&role, &verified, Limits::default())?);
        }
        Ok(())
    })?;
    let what = "2 MiB from store to prepared: read, verified, cached code";
    Ok(Row::new(what, Figure::Nanos(all)).raw(Figure::Nanos(cached)))
}

/// Puts an artifact into a store, under no name.
fn keep(layout: &Layout, packaged: &Packaged) -> Outcome<()> {
    for (_, blob) in &packaged.blobs {
        layout.put_blob(blob)?;
    }
    layout.put_manifest(&packaged.manifest, None)?;
    Ok(())
}
