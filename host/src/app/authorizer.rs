//! Puts a plugin behind the broker's question who may connect.
//!
//! What it answers is a guest's word: names and filters are parsed and counted
//! here, and one that is not what it should be lets nobody in.

use std::sync::Arc;

use tracing::{info, warn};

use crate::broker::authorizer::{Answer, AuthorizeError, Authorizer, Permission, Request};
use crate::capabilities::foreign_text::fit;
use crate::deployment::deployments::Deployments;
use crate::error_chain::ErrorChain;
use crate::names::{PluginName, TopicFilter};
use crate::runtime::{Question, Verdict};

/// Topic filters in one list of an answer.
const FILTERS_MAX: usize = 64;
/// Bytes of a guest's reason, or of a client identifier, in the host's log.
const LOGGED_BYTES_MAX: usize = 256;

/// A plugin that is asked.
pub(super) struct PluginAuthorizer {
    deployments: Deployments,
    plugin: PluginName,
}

impl PluginAuthorizer {
    pub(super) fn new(deployments: Deployments, plugin: PluginName) -> Arc<Self> {
        Arc::new(Self {
            deployments,
            plugin,
        })
    }
}

impl Authorizer for PluginAuthorizer {
    fn authorize(&self, request: Request) -> Answer {
        let (deployments, plugin) = (self.deployments.clone(), self.plugin.clone());
        Box::pin(async move {
            let client_id = fit(&request.client_id, LOGGED_BYTES_MAX);
            let (name, address) = (plugin.as_str(), request.address);
            let verdict = match deployments.ask(&plugin, question(request)).await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(reason)) => {
                    let reason = fit(&reason, LOGGED_BYTES_MAX);
                    info!(plugin = name, client_id, %address, reason, "device refused");
                    return Err(AuthorizeError::Refused(reason));
                }
                Err(error) => {
                    let error = ErrorChain(&error).to_string();
                    warn!(plugin = name, error, "authorizer did not answer");
                    return Err(AuthorizeError::Unavailable);
                }
            };
            permission(verdict).map_err(|reason| {
                warn!(plugin = name, reason, "authorizer answered nonsense");
                AuthorizeError::Unavailable
            })
        })
    }
}

fn question(request: Request) -> Question {
    Question {
        device: request.device.map(String::from),
        client_id: request.client_id,
        username: request.username,
        password: request.password,
        address: request.address.to_string(),
    }
}

/// What it lets whom do, or what is wrong with that.
fn permission(verdict: Verdict) -> Result<Permission, String> {
    let device = fit(&verdict.device, LOGGED_BYTES_MAX).parse();
    Ok(Permission {
        device: device.map_err(|error| format!("{error}"))?,
        publish: verdict.publish.map(filters).transpose()?,
        subscribe: verdict.subscribe.map(filters).transpose()?,
        valid_s: verdict.valid_s,
    })
}

fn filters(texts: Vec<String>) -> Result<Vec<TopicFilter>, String> {
    if texts.len() > FILTERS_MAX {
        return Err(format!(
            "{} filters; {FILTERS_MAX} are allowed",
            texts.len()
        ));
    }
    let parse = |text: String| {
        let filter = text.parse::<TopicFilter>();
        filter.map_err(|error| fit(&error.to_string(), LOGGED_BYTES_MAX))
    };
    texts.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{Verdict, permission};

    fn verdict(device: &str, publish: Option<Vec<String>>) -> Verdict {
        Verdict {
            device: device.to_owned(),
            publish,
            subscribe: None,
            valid_s: Some(60),
        }
    }

    #[test]
    fn an_answer_is_parsed_and_counted() {
        let good = verdict("press-1", Some(vec!["telemetry/+/press-1/#".to_owned()]));
        let permission_of_good = permission(good).unwrap();
        assert_eq!(permission_of_good.device.as_str(), "press-1");
        assert_eq!(permission_of_good.publish.unwrap().len(), 1);
        assert_eq!(permission_of_good.subscribe, None);
        for (device, filter, count) in [
            ("Press 1", "a", 1),
            ("press-1/#", "a", 1),
            ("", "a", 1),
            ("press-1", "a/#/b", 1),
            ("press-1", "", 1),
            ("press-1", "a", 65),
        ] {
            let bad = verdict(device, Some(vec![filter.to_owned(); count]));
            let told = permission(bad).unwrap_err();
            assert!(
                told.len() < 512 && !told.contains(char::is_control),
                "{told}"
            );
        }
    }
}
