//! For other people's clients and the official conformance suite, by hand:
//! `cargo test -p selvedge-registry serves_until -- --ignored --nocapture`.

use std::io::{Read as _, stdin};

use tokio::task::spawn_blocking;

use super::{PASSWORD, Patience, USER, config, serve_with};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves others until standard input closes"]
async fn serves_until_standard_input_closes() {
    let mut config = config();
    config.blob_bytes_max = 256 << 20;
    config.uploads_max = 256;
    let served = serve_with(config, Patience::default()).await;
    println!("{} {USER} {PASSWORD}", served.address);
    let mut rest = Vec::new();
    let read = spawn_blocking(move || stdin().read_to_end(&mut rest).map(drop));
    read.await.unwrap().unwrap();
    served.stopped().await;
}
