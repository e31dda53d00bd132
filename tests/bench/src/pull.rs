//! A cold pull against `curl` of the same blob from the same registry, each a
//! process of its own, in turns.
//!
//! `curl` leaves the bytes in memory for the system to write some day; what is
//! pulled is on the disk. So both are shown: `curl`, and `curl` with the file
//! brought to the disk.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err::File;
use selvedge_artifact::{Descriptor, Reference, Tag};
use selvedge_registry::{Access, Client, Layout, Server, ServerConfig, Silent};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::demo::binary;
use crate::guests::Guests;
use crate::measure::{all_cores, each, median};
use crate::report::{Bar, Figure, Row};
use crate::signed::{PACKAGE, VERSION, noise, package};
use crate::{Outcome, curl};

const MIB: usize = 1 << 20;
/// Sizes in MiB, and rounds of each.
const SIZES: [(usize, usize); 2] = [(64, 25), (2, 50)];

pub(crate) fn measure(_: &Guests) -> Outcome<Vec<Row>> {
    if !curl::is_there() {
        eprintln!("skipped: there is no curl");
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for (mib, rounds) in SIZES {
        let directory = tempfile::tempdir()?;
        let layout = Layout::open(&directory.path().join("registry"))?;
        let blob = put(&layout, mib * MIB)?;
        let times = serving(layout, |address| {
            let pulls = Pulls {
                reference: format!("{address}/{PACKAGE}:{VERSION}").parse()?,
                url: format!("http://{address}/v2/{PACKAGE}/blobs/{}", blob.digest),
                directory: directory.path(),
                runtime: all_cores()?,
            };
            pulls.times(rounds)
        })?;
        rows.extend(times.rows(mib));
    }
    Ok(rows)
}

/// Puts a plugin of `size` bytes into a store; its component.
fn put(layout: &Layout, size: usize) -> Outcome<Descriptor> {
    let component: Vec<u8> = noise(size).collect();
    let packaged = package(component.into())?;
    for (_, blob) in &packaged.blobs {
        layout.put_blob(blob)?;
    }
    let tag: Tag = VERSION.parse()?;
    layout.put_manifest(&packaged.manifest, Some((PACKAGE, &tag)))?;
    let component = packaged.blobs.last().ok_or("no component")?;
    Ok(component.0.clone())
}

/// What `work` returns while a registry serves `layout`.
fn serving<T>(layout: Layout, work: impl FnOnce(String) -> Outcome<T>) -> Outcome<T> {
    let runtime = all_cores()?;
    let config = ServerConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        access: Access::ReadOnly,
        tls: None,
        blob_bytes_max: 256 << 20,
        connections_max: 16,
        uploads_max: 1,
    };
    let server = runtime.block_on(Server::build(config, layout))?;
    let (address, stop) = (server.address().to_string(), CancellationToken::new());
    std::thread::scope(|scope| {
        // Also cancelled when the work panics, or nobody would ever leave.
        let guard = stop.clone().drop_guard();
        let served = scope.spawn(|| runtime.block_on(server.run(stop)));
        let done = work(address);
        drop(guard);
        served.join().map_err(|_| "the registry panicked")??;
        done
    })
}

/// What is pulled, from where, to where.
struct Pulls<'a> {
    reference: Reference,
    url: String,
    directory: &'a Path,
    runtime: Runtime,
}

/// Nanoseconds of each round.
#[derive(Default)]
struct Times {
    ours: Vec<f64>,
    within: Vec<f64>,
    curl: Vec<f64>,
    durable: Vec<f64>,
}

impl Pulls<'_> {
    fn times(&self, rounds: usize) -> Outcome<Times> {
        let mut times = Times::default();
        // The first round warms up.
        for round in 0..=rounds {
            let store = self.directory.join("store");
            // Empty, as on a device that is set up.
            Layout::open(&store)?;
            let ours = timed(|| self.process(&store))?;
            self.gone(&store)?;
            let file = self.directory.join("file");
            let curl = timed(|| curl::fetch(&self.url, &file))?;
            self.gone(&file)?;
            Layout::open(&store)?;
            let within = timed(|| self.within(&store))?;
            self.gone(&store)?;
            let durable = timed(|| {
                curl::fetch(&self.url, &file)?;
                Ok(File::open(&file)?.sync_all()?)
            })?;
            self.gone(&file)?;
            if round > 0 {
                times.ours.push(ours);
                times.within.push(within);
                times.curl.push(curl);
                times.durable.push(durable);
            }
        }
        Ok(times)
    }

    /// Removes what a turn left, and waits until the disk has done so: the next
    /// one's files would wait for it.
    fn gone(&self, path: &Path) -> Outcome<()> {
        match path.is_dir() {
            true => fs_err::remove_dir_all(path)?,
            false => fs_err::remove_file(path)?,
        }
        Ok(File::open(self.directory)?.sync_all()?)
    }

    /// `selvedge pull`.
    fn process(&self, store: &Path) -> Outcome<()> {
        let status = Command::new(binary()?)
            .args(["pull", &self.reference.to_string(), "--store"])
            .arg(store)
            .arg("--docker-config")
            .arg(self.directory)
            .stdout(Stdio::null())
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err("nothing was pulled".into()),
        }
    }

    /// The same in this process, as `selvedge run --pull` does it.
    fn within(&self, store: &Path) -> Outcome<()> {
        let types = [selvedge_artifact::media_type::SIGSTORE_BUNDLE_PREFIX];
        self.runtime.block_on(async {
            let client = Client::new(Default::default())?;
            let layout = Layout::open(store)?;
            let pulled = client.pull(&self.reference, &layout, &types, &Silent);
            drop(pulled.await?);
            Ok(())
        })
    }
}

impl Times {
    /// The medians of the rounds, but for the best of ours against the best of
    /// `curl`.
    fn rows(self, mib: usize) -> Vec<Row> {
        let nanos = |figure: f64| Figure::Nanos(figure);
        let best = |times: &[f64]| nanos(times.iter().copied().fold(f64::INFINITY, f64::min));
        let bar = Bar::Times(1.2);
        let fastest = (best(&self.ours), best(&self.curl));
        let ours = nanos(median(self.ours));
        let curl = nanos(median(self.curl));
        let row = |what: &str, figure| Row::new(format!("pull {mib} MiB{what}"), figure);
        vec![
            row(", cold, median", ours).raw(curl).bar(bar),
            row(", cold, best", fastest.0).raw(fastest.1).bar(bar),
            row(": against curl and fsync", ours).raw(nanos(median(self.durable))),
            row(": within a running process", nanos(median(self.within))).raw(curl),
        ]
    }
}

/// How long `work` takes, in nanoseconds.
fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let begun = Instant::now();
    work()?;
    let took: Duration = begun.elapsed();
    Ok(each(took, 1))
}
