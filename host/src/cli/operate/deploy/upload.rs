//! Hands in the files that a document names, by their digests.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::package::Package;
use crate::api::wire::SubmitRequest;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, Outcome};
use crate::deployment::deployments::FILE_BYTES_MAX;
use crate::deployment::document::fault::plain;
use crate::deployment::submission::WhenBusy;
use crate::names::Digest;

/// Hands in all files, one after the other, and says what to ask for then.
pub(in crate::cli::operate) async fn hand_in(
    client: &Client,
    package: &Package,
    when_busy: WhenBusy,
) -> Outcome<SubmitRequest> {
    let mut request = SubmitRequest {
        document: package.text.clone(),
        file: package.file.to_string_lossy().into_owned(),
        files: BTreeMap::new(),
        when_busy,
    };
    for (name, path) in &package.files {
        let path = path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let (bytes, digest) = read??;
        let bar = bar(name, bytes.len() as u64);
        let url = client.url(&["files", &digest.to_string()], &[]);
        let moving = bar.clone();
        let sent = client.put(url, bytes, move |bytes| moving.inc(bytes)).await;
        bar.finish_and_clear();
        sent?;
        request.files.insert(name.clone(), digest);
    }
    Ok(request)
}

/// The digests of all files, without handing them in.
pub(super) async fn digests(package: &Package) -> Outcome<BTreeMap<String, Digest>> {
    let files = package.files.clone();
    let digests = tokio::task::spawn_blocking(move || {
        let files = files.into_iter();
        let digests = files.map(|(name, path)| Ok((name, read(&path)?.1)));
        digests.collect()
    });
    digests.await?
}

fn read(path: &Path) -> Outcome<(Bytes, Digest)> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(Failure::about(path, what));
    }
    let digest = Digest::of(&bytes);
    Ok((bytes.into(), digest))
}

fn bar(name: &str, size: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = "hand in {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
    let style = ProgressStyle::with_template(template).expect("this is a template");
    let bar = ProgressBar::with_draw_target(Some(size), target).with_style(style);
    bar.set_message(plain(name));
    bar
}
