use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;
use crate::mqtt::{Ack, Reason, Version};
use crate::names::{Qos, Topic};

const SOON: Duration = Duration::from_secs(10);

fn client(stream: DuplexStream) -> Framed<DuplexStream> {
    let decoder = Decoder::new(Some(Version::V311), PacketLimits::default());
    Framed::new(stream, decoder, Version::V311)
}

fn head(topic: &Topic) -> PublishHead<'_> {
    PublishHead {
        qos: Qos::AtMostOnce,
        topic: Some(topic),
        ..PublishHead::default()
    }
}

/// Whether nothing is held for either direction.
fn has_no_buffers(framed: &mut Framed<DuplexStream>) -> bool {
    let mut none = BytesMut::new();
    std::mem::swap(&mut none, &mut framed.input);
    let input = none.try_reclaim(1);
    framed.input = none;
    !input && framed.output.is_empty()
}

#[tokio::test]
async fn packets_large_and_small_arrive_in_order() {
    let (near, far) = duplex(1000);
    let (mut near, mut far) = (client(near), client(far));
    let topic: Topic = "a".parse().unwrap();
    let payloads: Vec<Bytes> = [0, 10, 20_000, 5, 9_000, 70_000, 3]
        .map(|bytes| Bytes::from(vec![u8::try_from(bytes % 251).unwrap(); bytes]))
        .into();
    for payload in &payloads {
        near.publish(&head(&topic), payload).unwrap();
        let puback = Ack::new(PacketId::MIN, Reason::SUCCESS);
        near.write(&Packet::PubAck(puback)).unwrap();
    }
    let whole = near.waiting_bytes();
    assert!(whole > 99_000 && near.is_full() && near.is_clogged());
    let write = async {
        near.flush().await.unwrap();
        assert!(near.is_idle() && near.waiting_bytes() == 0);
        // Until the other has read all.
        let end = near.receive().await.unwrap_err();
        assert!(
            matches!(end, ReceiveError::Lost(error) if error.kind() == ErrorKind::UnexpectedEof)
        );
        assert!(near.output.is_empty());
    };
    let read = async {
        for payload in &payloads {
            match far.receive().await.unwrap() {
                Packet::Publish(publish) => assert_eq!(publish.payload, payload),
                other => panic!("{other:?}"),
            }
            assert!(matches!(far.receive().await, Ok(Packet::PubAck(_))));
        }
        far.close().await.unwrap();
    };
    timeout(SOON, async { tokio::join!(write, read) })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffers() {
    let (near, mut far) = duplex(1000);
    let mut near = client(near);
    far.write_all(b"\xd0\0\xd0").await.unwrap();
    assert_eq!(near.receive().await.unwrap(), Packet::PingResp);
    near.write(&Packet::PingReq).unwrap();
    near.flush().await.unwrap();
    {
        // Waits for the second half.
        let mut receive = std::pin::pin!(near.receive());
        let waits = poll_fn(|context| Poll::Ready(receive.as_mut().poll(context).is_pending()));
        assert!(waits.await);
    }
    assert!(near.input.capacity() < 64, "{}", near.input.capacity());
    far.write_all(b"\0").await.unwrap();
    assert_eq!(near.receive().await.unwrap(), Packet::PingResp);
    {
        let mut receive = std::pin::pin!(near.receive());
        let waits = poll_fn(|context| Poll::Ready(receive.as_mut().poll(context).is_pending()));
        assert!(waits.await);
    }
    assert!(has_no_buffers(&mut near));
}

#[tokio::test]
async fn what_is_announced_is_not_reserved() {
    let (near, mut far) = duplex(1000);
    let mut near = client(near);
    far.write_all(b"\x30\xf0\xff\x0f\0\x01a").await.unwrap();
    assert!(timeout(Duration::ZERO, near.receive()).await.is_err());
    assert_eq!(near.input.len(), 7);
    assert!(near.input.capacity() < 64, "{}", near.input.capacity());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_noticed() {
    let (near, mut far) = duplex(1000);
    let mut near = client(near);
    let topic: Topic = "a".parse().unwrap();
    let payload = Bytes::from(vec![0; 70_000]);
    assert_eq!(near.stalled_since(), None);
    near.publish(&head(&topic), &payload).unwrap();
    // One look, which is not put off for other tasks' sake.
    let poll = async |near: &mut Framed<DuplexStream>| {
        let look = poll_fn(|context| Poll::Ready(near.poll(context, false).map(Result::unwrap)));
        tokio::task::unconstrained(look).await
    };
    assert_eq!(poll(&mut near).await, Poll::Pending);
    assert!(near.stalled_since().is_some() && near.is_full());
    let mut bytes = [0; 1000];
    let mut room = 0;
    while !near.is_idle() {
        let read = timeout(SOON, far.read(&mut bytes)).await.unwrap();
        assert!(read.unwrap() > 0);
        room += usize::from(poll(&mut near).await == Poll::Ready(Moved::Room));
    }
    assert_eq!(room, 1, "told once that there is room");
    assert_eq!(near.stalled_since(), None);
}

#[tokio::test]
async fn encoded_once_it_goes_to_many() {
    let topic: Topic = "a".parse().unwrap();
    for bytes in [3, 20_000] {
        let payload = vec![7; bytes];
        let once = EncodedPublish::new(&head(&topic), &payload, Version::V311).unwrap();
        for _ in 0..3 {
            let (near, far) = duplex(100_000);
            let (mut near, mut far) = (client(near), client(far));
            near.publish_encoded(&once, None).unwrap();
            near.flush().await.unwrap();
            match far.receive().await.unwrap() {
                Packet::Publish(publish) => assert_eq!(publish.payload, payload),
                other => panic!("{other:?}"),
            }
            let small = Peer::new(Version::V311, Some(5.try_into().unwrap()));
            near.agree(small, PacketLimits::default());
            assert!(near.publish_encoded(&once, None).is_err());
        }
    }
}
