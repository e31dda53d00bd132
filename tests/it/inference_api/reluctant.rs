//! A client that asks and lets no answer go out, in HTTP/2 of its own: what others
//! speak it with takes what it is sent.

use prost::Message as _;
use selvedge::inference_api::proto::PredictRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::world::{World, describe, request};
use crate::process::DEADLINE;

/// Kinds of frames and their flags (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The setting that says how much of an answer may go out unasked.
const INITIAL_WINDOW_SIZE: u8 = 4;
const CANCEL: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

/// Who begins, and allows not one byte of any answer.
fn begin() -> Vec<u8> {
    let none = [0, INITIAL_WINDOW_SIZE, 0, 0, 0, 0];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    [&preface[..], &frame(SETTINGS, 0, 0, &none)].concat()
}

fn predict(stream: u32, request: &PredictRequest) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/selvedge.inference.v1.Inference/Predict"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A literal that is not remembered (RFC 7541, section 6.2.2).
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text.bytes());
        }
    }
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let message = [&[0], &length[..], &message].concat();
    let head = frame(HEADERS, END_HEADERS, stream, &head);
    [head, frame(DATA, END_STREAM, stream, &message)].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_taken_back_leave_room_for_others() {
    let world = World::start_with("", |config| {
        let api = config.inference.api.as_mut().unwrap();
        api.message_bytes_max = (4 << 10).try_into().unwrap();
        api.received_bytes_max = (8 << 10).try_into().unwrap();
    })
    .await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let request = request(&model, 0.5);
    let answer = client.predict(request.clone()).await.unwrap();
    let bytes = answer.into_inner().encoded_len();

    let connection = UnixStream::connect(&world.socket).await.unwrap();
    let (mut read, mut write) = split(connection);
    let reads = async {
        // What comes besides answers is not of interest, but its end would be.
        let mut said = [0; 1024];
        while read.read(&mut said).await.unwrap() > 0 {}
        panic!("the connection was cut");
    };
    let runs = || {
        let status = world.app.deployments().models().status();
        status[0].runs.runs_total
    };
    let takes_back = async {
        write.write_all(&begin()).await.unwrap();
        // Together they would be twice what there is for all.
        for count in 0..u32::try_from((16 << 10) / bytes).unwrap() {
            let (stream, before) = (count * 2 + 1, runs());
            write.write_all(&predict(stream, &request)).await.unwrap();
            world.until("it ran", async || runs() > before).await;
            let cancel = frame(RST_STREAM, 0, stream, &[0, 0, 0, CANCEL]);
            write.write_all(&cancel).await.unwrap();
        }
        timeout(DEADLINE, client.predict(request)).await
    };
    tokio::select! {
        answer = takes_back => drop(answer.unwrap().unwrap()),
        () = reads => {}
    }
}
