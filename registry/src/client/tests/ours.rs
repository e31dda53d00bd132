//! The client against our own registry: with a list of referrers, pieces and
//! credentials.

use bytes::Bytes;
use selvedge_artifact::{Packaged, Reference, media_type};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{about, artifact, config, noise, patient_client, reference};
use crate::{
    Access, Client, ClientConfig, ClientError, Credentials, Layout, Server, ServerConfig, Silent,
};

const BUNDLES: &[&str] = &[media_type::SIGSTORE_BUNDLE_PREFIX];

fn someone(password: &str) -> Option<Credentials> {
    Some(Credentials {
        user: "ci".to_owned(),
        password: password.to_owned(),
    })
}

fn client_of(credentials: Option<Credentials>) -> Client {
    patient_client(ClientConfig {
        credentials,
        ..config()
    })
}

fn store(directory: &TempDir, name: &str) -> Layout {
    Layout::open(&directory.path().join(name)).unwrap()
}

/// Runs `with` against a registry whose pushers have the password `secret`.
async fn served<F: Future<Output = ()>>(directory: &TempDir, with: impl FnOnce(Reference) -> F) {
    let server = ServerConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        access: Access::Push(someone("secret").unwrap()),
        tls: None,
        blob_bytes_max: 64 << 20,
        connections_max: 32,
        uploads_max: 8,
    };
    let server = Server::build(server, store(directory, "served"))
        .await
        .unwrap();
    let there = reference(server.address(), ":1.2.0");
    let stop = CancellationToken::new();
    let done = async {
        with(there).await;
        stop.cancel();
    };
    let (served, ()) = futures::join!(server.run(stop.clone()), done);
    served.unwrap();
}

fn bundle(subject: &Packaged, content: Bytes) -> Packaged {
    about(
        Some(subject.descriptor()),
        media_type::SIGSTORE_BUNDLE,
        content,
    )
}

#[tokio::test]
async fn an_artifact_with_signatures_goes_there_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = artifact(noise(20 << 20));
    served(&directory, |there| async move {
        let directory = tempfile::tempdir().unwrap();
        let publisher = client_of(someone("secret"));
        publisher.push(&there, &plugin, &Silent).await.unwrap();
        for size in [900, 901] {
            let bundle = bundle(&plugin, noise(size));
            publisher.attach(&there, &bundle, &Silent).await.unwrap();
        }
        let tags = publisher.tags(&there).await.unwrap();
        assert_eq!(
            tags,
            ["1.2.0".parse().unwrap()],
            "no tag for referrers is needed"
        );

        let store = store(&directory, "pulled");
        let pulled = client_of(None)
            .pull(&there, &store, BUNDLES, &Silent)
            .await
            .unwrap();
        assert_eq!(pulled.manifest.digest, plugin.digest());
        assert_eq!(pulled.referrers.len(), 2);
        let layer = &plugin.blobs[1];
        assert_eq!(store.blob(&layer.0.digest, 32 << 20).unwrap(), layer.1);
    })
    .await;
}

#[tokio::test]
async fn a_broken_pull_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = artifact(noise(3 << 20));
    served(&directory, |there| async move {
        client_of(someone("secret"))
            .push(&there, &plugin, &Silent)
            .await
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory, "pulled");
        let (layer, bytes) = &plugin.blobs[1];
        let mut begun = store.resume(&layer.digest, layer.size).unwrap();
        begun.append(&bytes[..2 << 20]).unwrap();
        drop(begun);
        let pulled = client_of(None)
            .pull(&there, &store, &[], &Silent)
            .await
            .unwrap();
        assert!(pulled.bytes < (1 << 20) + 10_000, "{}", pulled.bytes);
        assert_eq!(store.blob(&layer.digest, layer.size).unwrap(), bytes);
    })
    .await;
}

#[tokio::test]
async fn who_has_no_password_pushes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    served(&directory, |there| async move {
        let plugin = artifact(noise(100));
        for credentials in [None, someone("guessed")] {
            let pushed = client_of(credentials).push(&there, &plugin, &Silent).await;
            let error = pushed.unwrap_err();
            assert!(matches!(error, ClientError::Unauthorised { .. }), "{error}");
        }
        let error = client_of(None).manifest(&there).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    })
    .await;
}
