//! Tells everybody on the bus how the host's units fare.

use std::sync::Arc;

use tracing::warn;

use crate::bus::{Message, Party};
use crate::supervisor::{Observer, UnitState};

/// Publishes how units fare on `$selvedge/state/<unit>`, kept for whoever asks
/// later.
pub(super) fn observer(host: Party) -> Observer {
    Arc::new(move |name: &str, state: &UnitState| {
        let topic = format!("$selvedge/state/{name}").parse();
        let topic = topic.expect("unit names are topic levels");
        let state = serde_json::to_vec(state).expect("states are plain data");
        let mut message = Message::new(topic, state);
        message.content_type = Some("application/json".into());
        message.retain = true;
        if let Err(error) = host.publish_lossy(message) {
            warn!(unit = name, error = %error, "state not published");
        }
    })
}
