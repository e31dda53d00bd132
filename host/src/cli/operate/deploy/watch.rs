//! `selvedge deploy --watch`: again whenever a file changes.
//!
//! Folders are watched, not files: editors write beside a file and rename. What
//! happens to other files there is not looked at. A change is waited out before
//! it is deployed, and one that leaves every byte as it was is none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::package::{self, Package};
use super::{Args, submit, upload};
use crate::api::wire::Submitted;
use crate::cli::Interrupts;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::cli::operate::follow;
use crate::names::Digest;

/// Quiet after a change before it is deployed: a save is several steps.
const QUIET: Duration = Duration::from_millis(250);

/// How long a change is waited out if it does not get quiet.
const UNQUIET_MAX: Duration = Duration::from_secs(3);

/// What a package is, to tell whether it is another.
type Content = (String, BTreeMap<String, Digest>);

pub(super) async fn run(client: &Client, args: &Args) -> Outcome {
    let mut interrupts = Interrupts::listen();
    tokio::select! {
        ended = deploy_changes(client, args) => ended,
        () = interrupts.next() => Ok(ExitCode::SUCCESS),
    }
}

async fn deploy_changes(client: &Client, args: &Args) -> Outcome {
    let mut watch = Watch::new()?;
    let mut deployed: Option<Content> = None;
    let mut following: BoxFuture<'_, Outcome> = std::future::pending().boxed();
    loop {
        if let Some((package, content)) = watch.read(&args.file).await?
            && deployed.as_ref() != Some(&content)
        {
            deployed = Some(content);
            // What was followed until now is superseded, and says so no more.
            following = deploy(client, args, package).boxed();
        }
        loop {
            tokio::select! {
                ended = &mut following => {
                    following = std::future::pending().boxed();
                    if let Err(failure) = ended {
                        if failure.is_end_of_output() || !watch.went_well {
                            return Err(failure);
                        }
                        failure.report();
                        // The next save is another try, whatever is in it.
                        deployed = None;
                    }
                    watch.went_well = true;
                    complain(&format_args!(
                        "watching {} and what it names; Ctrl-C ends it",
                        args.file.display()
                    ));
                }
                () = watch.changes.notified() => break,
            }
        }
        watch.quiet().await;
    }
}

async fn deploy(client: &Client, args: &Args, package: Package) -> Outcome {
    package.warn();
    let request = upload::hand_in(client, &package, args.when_busy()).await?;
    let answer = match submit(client, &request).await {
        Ok(answer) => answer,
        Err(error) => return follow::refused(error),
    };
    let Submitted { deployment } = answer.read()?;
    let json = args.host.json;
    let ended = follow::to_its_end(client, deployment, json);
    ended
        .and_then(|ended| async move { follow::report(&ended, json) })
        .await
}

/// The folders in which something may change.
struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// What the files are called that matter.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    changes: Arc<Notify>,
    /// Whether a host was ever reached: if not, there is no sense in going on.
    went_well: bool,
}

impl Watch {
    fn new() -> Outcome<Self> {
        let names: Arc<Mutex<BTreeSet<OsString>>> = Arc::default();
        let changes: Arc<Notify> = Arc::default();
        let (known, told) = (Arc::clone(&names), Arc::clone(&changes));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = match event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
                Ok(event) => {
                    let known = known.lock();
                    let mut names = event.paths.iter().filter_map(|path| path.file_name());
                    event.need_rescan() || names.any(|name| known.contains(name))
                }
                // Something was overlooked.
                Err(_) => true,
            };
            if matters {
                told.notify_one();
            }
        });
        Ok(Self {
            watcher: watcher?,
            folders: BTreeSet::new(),
            names,
            changes,
            went_well: false,
        })
    }

    /// The package as it is now; none if it is faulty, which is told. Whatever
    /// changes after it was read is noticed.
    async fn read(&mut self, file: &Path) -> Outcome<Option<(Package, Content)>> {
        let package = loop {
            let added = self.cover(&package::paths(file))?;
            let package = Package::read(file);
            // What is in a folder that was not watched until now may have changed.
            if !added {
                break package;
            }
        };
        let package = match package {
            Ok(package) => package,
            Err(faults) => {
                complain(&faults);
                return Ok(None);
            }
        };
        match upload::digests(&package).await {
            Ok(digests) => {
                let content = (package.text.clone(), digests);
                Ok(Some((package, content)))
            }
            // It is being replaced, and what comes then is a change.
            Err(failure) => {
                failure.report();
                Ok(None)
            }
        }
    }

    /// Watches for changes of `paths`; says whether folders came to it.
    fn cover(&mut self, paths: &[PathBuf]) -> Outcome<bool> {
        let names = paths.iter().filter_map(|path| path.file_name());
        *self.names.lock() = names.map(Into::into).collect();
        let mut added = false;
        for path in paths {
            let folder = path.parent().unwrap_or(Path::new(""));
            let folder = if folder == Path::new("") {
                Path::new(".")
            } else {
                folder
            };
            // A folder that is not there is a fault of the document.
            if self.folders.contains(folder) || !folder.is_dir() {
                continue;
            }
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            watched.map_err(|error| Failure::about(folder, error))?;
            self.folders.insert(folder.to_owned());
            added = true;
        }
        Ok(added)
    }

    /// Waits until nothing changes any more, within bounds.
    async fn quiet(&self) {
        let since = Instant::now();
        while since.elapsed() < UNQUIET_MAX {
            if timeout(QUIET, self.changes.notified()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Watch;

    const DOCUMENT: &str = "name = \"line\"\nversion = \"1.0.0\"\n\n\
        [plugins.a]\ncomponent = \"parts/a.wasm\"\n";

    /// Whether a change is told within a while.
    async fn told(watch: &Watch, within: Duration) -> bool {
        timeout(within, watch.changes.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn saves_of_every_kind_are_noticed_and_neighbours_are_not() {
        const LONG: Duration = Duration::from_secs(30);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("parts")).unwrap();
        fs_err::write(at("parts/a.wasm"), "1").unwrap();
        fs_err::write(at("line.toml"), DOCUMENT).unwrap();
        let mut watch = Watch::new().unwrap();
        let (_, first) = watch.read(&at("line.toml")).await.unwrap().unwrap();

        // Written beside it and renamed, as editors do.
        fs_err::write(at(".line.toml.swp"), DOCUMENT.replace("1.0.0", "1.0.1")).unwrap();
        fs_err::rename(at(".line.toml.swp"), at("line.toml")).unwrap();
        assert!(told(&watch, LONG).await);
        watch.quiet().await;
        let (_, second) = watch.read(&at("line.toml")).await.unwrap().unwrap();
        assert_ne!(first, second);

        // A file that it names, in place.
        fs_err::write(at("parts/a.wasm"), "2").unwrap();
        assert!(told(&watch, LONG).await);
        watch.quiet().await;
        let (_, third) = watch.read(&at("line.toml")).await.unwrap().unwrap();
        assert_ne!(second, third);

        // Touched without a change, and a neighbour after whom nothing is heard:
        // what is told then is told of the document.
        fs_err::write(at("line.toml"), DOCUMENT.replace("1.0.0", "1.0.1")).unwrap();
        assert!(told(&watch, LONG).await);
        watch.quiet().await;
        let (_, fourth) = watch.read(&at("line.toml")).await.unwrap().unwrap();
        assert_eq!(third, fourth);
        fs_err::write(at("parts/neighbour"), "x").unwrap();
        assert!(!told(&watch, Duration::from_millis(500)).await);
    }

    #[tokio::test]
    async fn a_file_that_was_missing_is_noticed_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("parts")).unwrap();
        fs_err::write(at("line.toml"), DOCUMENT).unwrap();
        let mut watch = Watch::new().unwrap();
        assert!(watch.read(&at("line.toml")).await.unwrap().is_none());
        fs_err::write(at("parts/a.wasm"), "1").unwrap();
        assert!(told(&watch, Duration::from_secs(30)).await);
        watch.quiet().await;
        assert!(watch.read(&at("line.toml")).await.unwrap().is_some());
    }
}
