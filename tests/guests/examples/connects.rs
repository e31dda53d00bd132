//! Reaches for the network as each message says, `<what> <where>`, and tells on
//! `seen/connects` what came of it.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use selvedge_plugin::{Error, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug, Default)]
pub struct Connects;

impl Subscriber for Connects {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let text = message.text().unwrap_or_default();
        let (what, place) = text.split_once(' ').unwrap_or_default();
        let outcome = match what {
            "connect" => connect(place),
            "listen" => TcpListener::bind(place).map(|_| "listening".to_owned()),
            "resolve" => place
                .to_socket_addrs()
                .map(|found| format!("{} found", found.count())),
            "send" => UdpSocket::bind("0.0.0.0:0")
                .and_then(|socket| socket.send_to(b"x", place))
                .map(|_| "sent".to_owned()),
            "bind" => UdpSocket::bind(place).map(|_| "bound".to_owned()),
            other => return Err(Error::reject(format!("cannot {other}"))),
        };
        let outcome = outcome.unwrap_or_else(|error| format!("{:?}", error.kind()));
        Ok(publish(Message::new(
            "seen/connects",
            format!("{text}: {outcome}"),
        ))?)
    }
}

/// Sends a byte and says what came back.
fn connect(place: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(place)?;
    stream.write_all(b"?")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

export!(Connects: Subscriber);
