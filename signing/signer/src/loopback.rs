//! A service on this machine that answers as a test wants it to: what signers
//! meet outside, not a part of theirs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Serves until the process ends, one request after the other: `answer` makes
/// status and body of a request's path and body. Returns its address.
pub(crate) fn serve(
    mut answer: impl FnMut(&str, &[u8]) -> (u16, Vec<u8>) + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that went away is none of the server's business.
            drop(one(stream.unwrap(), &mut answer));
        }
    });
    format!("http://{address}")
}

/// An address where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn one(
    stream: TcpStream,
    answer: &mut impl FnMut(&str, &[u8]) -> (u16, Vec<u8>),
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(&stream);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if path.is_empty() {
            path = line.split(' ').nth(1).unwrap().to_owned();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, body) = answer(&path, &body);
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nlocation: https://elsewhere.example/\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let mut stream = &stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
