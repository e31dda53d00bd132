//! Keeps what devices are told on the bus: `$selvedge/discovery`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

use super::POLICY;
use super::gateway::Gateway;
use crate::bus::{Message, Party};
use crate::supervisor::Unit;

const TOPIC: &str = "$selvedge/discovery";
/// Between two looks at the addresses of this machine.
const LOOK: Duration = Duration::from_secs(10);

pub(super) fn unit(gateway: Arc<Gateway>, host: Party) -> Unit {
    let host = Arc::new(host);
    Unit::new("discovery", POLICY, move |context| {
        let (gateway, host) = (Arc::clone(&gateway), Arc::clone(&host));
        async move {
            let mut last = None;
            loop {
                let looking = Arc::clone(&gateway);
                let told = spawn_blocking(move || looking.told()).await??;
                if last.as_ref() != Some(&told) {
                    publish(&host, &gateway.kept(&told));
                    last = Some(told);
                }
                context.ready();
                tokio::select! {
                    () = context.stop.cancelled() => return Ok(()),
                    () = sleep(LOOK) => {}
                }
            }
        }
    })
}

fn publish(host: &Party, value: &serde_json::Value) {
    let topic = TOPIC.parse().expect("it is a topic");
    let mut message = Message::new(topic, value.to_string());
    message.content_type = Some("application/json".into());
    message.retain = true;
    if let Err(error) = host.publish_lossy(message) {
        warn!(error = %error, "addresses not published");
    }
}
