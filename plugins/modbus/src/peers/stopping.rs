//! A stop in the middle of commands, as at each update.

use std::cell::RefCell;

use selvedge_plugin::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::world::with_engine;

/// Bytes of a request of function 6, and of its answer, which repeats it.
const WRITE_BYTES: usize = 12;

#[test]
fn commands_in_hand_are_finished_once_and_those_behind_them_are_left() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let config = serde_json::json!({"devices": [{
        "name": "d", "site": "s", "address": listener.local_addr().unwrap().to_string(),
        "points": [{"name": "p", "table": "holding", "address": 0, "type": "u16",
                    "writable": true}],
        "groups": [{"name": "g", "interval_ms": 86_400_000, "phase_ms": 86_399_999,
                    "points": ["p"]}],
    }]});
    let written = RefCell::new(Vec::new());
    with_engine(config, async |bus| {
        let (asked, stopped) = (Notify::new(), Notify::new());
        let device = async {
            let listener = TcpListener::from_std(listener).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; WRITE_BYTES];
            // Until the plugin closes its connection.
            while stream.read_exact(&mut request).await.is_ok() {
                written.borrow_mut().push(request[WRITE_BYTES - 1]);
                if request[WRITE_BYTES - 1] == 1 {
                    asked.notify_one();
                    stopped.notified().await;
                }
                stream.write_all(&request).await.unwrap();
            }
        };
        let operator = async {
            for value in 1..=2 {
                let mut command = Message::new("command/s/d/p", value.to_string());
                command.reply_to = Some("reply/here".to_owned());
                bus.send(command);
            }
            asked.notified().await;
            bus.stop();
            bus.send(Message::new("command/s/d/p", "3"));
            stopped.notify_one();
            for value in 1..=2 {
                let reply = bus.next("reply/here").await;
                let expected = format!(r#""ok":true,"value":{value}.0"#);
                assert!(reply.text().unwrap().contains(&expected), "{reply:?}");
            }
        };
        tokio::join!(device, operator);
    });
    assert_eq!(written.into_inner(), [1, 2]);
}
