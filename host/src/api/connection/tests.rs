use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Connection, Patience, Peer};
use crate::api::access::{Caller, Role};

/// What arrives of `pieces`, each sent when the one before it was read.
async fn arrives(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
    let (mut client, server) = duplex(1 << 10);
    let caller = Caller {
        who: "anna".to_owned(),
        role: Role::Operator,
    };
    let token = CancellationToken::new;
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let peer = Peer::new(caller, token(), token());
    let mut connection = Connection::new(Box::new(server), peer, Patience::default(), place);
    let mut all = Vec::new();
    for piece in pieces {
        client.write_all(piece).await?;
        let mut read = vec![0; piece.len()];
        connection.read_exact(&mut read).await?;
        all.extend(read);
    }
    Ok(all)
}

#[tokio::test]
async fn whoever_begins_in_http_2_is_cut_off() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert!(arrives(&[preface]).await.is_err());
    let bytes: Vec<_> = preface.chunks(1).collect();
    assert!(arrives(&bytes).await.is_err());
    for whole in [
        &b"PUT / HTTP/1.1\r\n\r\n"[..],
        b"PRO",
        b"P",
        b"GET PRI PRI ",
    ] {
        assert_eq!(arrives(&[whole]).await.unwrap(), whole);
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(arrives(&bytes).await.unwrap(), whole);
    }
    assert_eq!(
        arrives(&[b"POST ", b"PRI * "]).await.unwrap(),
        b"POST PRI * "
    );
}
