//! What plugins logged and gave up: what is remembered, and what comes.

use std::sync::Arc;

use axum::response::Response;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api::lines;
use crate::api::refusal::Refusal;
use crate::api::request::Asked;
use crate::api::wire::LogLine;
use crate::names::PluginName;

/// Entries in one answer, unless asked for others.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

pub(in crate::api) async fn logs(asked: Asked) -> Result<Response, Refusal> {
    let (plugin, max, follow) = wanted(&asked, "lines")?;
    let permit = lines::permit(&asked)?;
    let (last, next) = asked.api.recorder.lines(plugin.as_deref(), max);
    let mut missed = 0;
    let source = entries(last, next, follow).filter_map(move |next| {
        let line = match next {
            Ok(line) if is_of(plugin.as_deref(), line.plugin.as_deref()) => Some(line),
            Ok(_) => None,
            Err(behind) => {
                missed += behind;
                None
            }
        };
        let line = line.map(|line| {
            let mut line = LogLine::clone(&line);
            line.dropped += std::mem::take(&mut missed);
            vec![line]
        });
        std::future::ready(line)
    });
    Ok(lines::answer(&asked, permit, source))
}

pub(in crate::api) async fn dead_letters(asked: Asked) -> Result<Response, Refusal> {
    let (plugin, max, follow) = wanted(&asked, "limit")?;
    let permit = lines::permit(&asked)?;
    let (last, next) = asked.api.recorder.dead_letters(plugin.as_deref(), max);
    let source = entries(last, next, follow).filter_map(move |next| {
        let letter = next.ok();
        let letter = letter.filter(|letter| is_of(plugin.as_deref(), Some(&letter.plugin)));
        std::future::ready(letter.map(|letter| vec![(*letter).clone()]))
    });
    Ok(lines::answer(&asked, permit, source))
}

fn wanted(asked: &Asked, limit: &'static str) -> Result<(Option<String>, usize, bool), Refusal> {
    let plugin: Option<PluginName> = asked.query.value("plugin", "the name of a plugin")?;
    let plugin = plugin.map(|plugin| plugin.to_string());
    let max = asked.query.count(limit, LIMIT, LIMIT_MAX)?;
    Ok((plugin, max, asked.query.switch("follow")?))
}

fn is_of(wanted: Option<&str>, plugin: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| plugin == Some(wanted))
}

/// What was, and what comes if it is wanted; an error says how many were missed.
fn entries<T: Send + Sync + 'static>(
    last: Vec<Arc<T>>,
    next: Receiver<Arc<T>>,
    follow: bool,
) -> impl Stream<Item = Result<Arc<T>, u64>> + Send {
    let coming = stream::unfold(next, |mut next| async move {
        match next.recv().await {
            Ok(entry) => Some((Ok(entry), next)),
            Err(RecvError::Lagged(behind)) => Some((Err(behind), next)),
            Err(RecvError::Closed) => None,
        }
    });
    let last = stream::iter(last.into_iter().map(Ok));
    last.chain(coming.take(if follow { usize::MAX } else { 0 }))
}
