//! Pushing: at once, in chunks, by mounting; and what is refused.

use reqwest::{Method, StatusCode};
use selvedge_artifact::{Digest, Index, media_type};

use super::{code, describe, header, manifest, pushed, serve};

#[tokio::test]
async fn a_blob_is_pushed_in_two_requests() {
    let served = serve().await;
    let location = served.begin("a/b/c").await;
    let digest = Digest::of(b"whole");
    let path = format!("{location}?digest={digest}");
    let put = served.push(Method::PUT, &path).body("whole");
    let put = put.send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    assert_eq!(
        header(&put, "location"),
        format!("/v2/a/b/c/blobs/{digest}")
    );
    let got = served.get(header(&put, "location")).await;
    assert_eq!(got.bytes().await.unwrap().as_ref(), b"whole");
    let gone = served.finish(&location, &digest).await;
    assert_eq!(code(gone).await, "BLOB_UPLOAD_UNKNOWN");
    served.stopped().await;
}

#[tokio::test]
async fn a_blob_is_pushed_in_chunks_in_order() {
    let served = serve().await;
    let location = served.begin("a").await;
    let first = served.chunk(&location, 0, b"first ").await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    assert_eq!(header(&first, "range"), "0-5");

    for from in [0, 5, 7] {
        let wrong = served.chunk(&location, from, b"out of order").await;
        assert_eq!(wrong.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(header(&wrong, "range"), "0-5");
        assert_eq!(header(&wrong, "location"), location);
    }
    let status = served.push(Method::GET, &location).send().await.unwrap();
    assert_eq!(status.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&status, "range"), "0-5");

    let second = served.chunk(&location, 6, b"second ").await;
    assert_eq!(header(&second, "range"), "0-12");
    let digest = Digest::of(b"first second last");
    let path = format!("{location}?digest={digest}");
    let last = served.push(Method::PUT, &path).body("last");
    let last = last.header("content-range", "13-16").send().await.unwrap();
    assert_eq!(last.status(), StatusCode::CREATED);
    let got = served.get(&format!("a/blobs/{digest}")).await;
    assert_eq!(got.bytes().await.unwrap().as_ref(), b"first second last");
    served.stopped().await;
}

#[tokio::test]
async fn a_chunk_must_be_as_long_as_it_says() {
    let served = serve().await;
    let location = served.begin("a").await;
    let wrong = served.push(Method::PATCH, &location).body("four");
    let wrong = wrong.header("content-range", "0-9").send().await.unwrap();
    assert_eq!(code(wrong).await, "SIZE_INVALID");
    let nonsense = served.push(Method::PATCH, &location).body("four");
    let nonsense = nonsense.header("content-range", "x").send().await.unwrap();
    assert_eq!(code(nonsense).await, "BLOB_UPLOAD_INVALID");
    served.stopped().await;
}

#[tokio::test]
async fn a_blob_that_is_something_else_is_refused() {
    let served = serve().await;
    let digest = Digest::of(b"promised");
    let path = format!("a/blobs/uploads/?digest={digest}");
    let at_once = served.push(Method::POST, &path).body("delivered");
    assert_eq!(code(at_once.send().await.unwrap()).await, "DIGEST_INVALID");
    let location = served.begin("a").await;
    served.chunk(&location, 0, b"delivered").await;
    let put = served.finish(&location, &digest).await;
    assert_eq!(put.status(), StatusCode::BAD_REQUEST);
    assert_eq!(code(put).await, "DIGEST_INVALID");
    for digest in [digest, Digest::of(b"delivered")] {
        assert_eq!(served.get(&format!("a/blobs/{digest}")).await.status(), 404);
    }
    assert_eq!(served.blobs(), 0);
    served.stopped().await;
}

#[tokio::test]
async fn only_sha256_names_blobs() {
    let served = serve().await;
    let foreign = format!("sha512:{}", "0".repeat(128));
    let path = format!("a/blobs/uploads/?digest={foreign}");
    let response = served.push(Method::POST, &path).body("x").send().await;
    assert_eq!(code(response.unwrap()).await, "DIGEST_INVALID");
    let path = format!("a/manifests/{foreign}");
    let put = served.push(Method::PUT, &path).body("{}");
    let put = put
        .header("content-type", media_type::MANIFEST)
        .send()
        .await;
    assert_eq!(code(put.unwrap()).await, "DIGEST_INVALID");
    served.stopped().await;
}

#[tokio::test]
async fn a_blob_that_is_here_is_mounted() {
    let served = serve().await;
    let digest = served.put_blob("a", b"shared").await;
    for path in [
        format!("b/blobs/uploads/?mount={digest}&from=a"),
        format!("b/blobs/uploads/?mount={digest}"),
    ] {
        let mounted = served.push(Method::POST, &path).send().await.unwrap();
        assert_eq!(mounted.status(), StatusCode::CREATED);
        assert_eq!(
            header(&mounted, "location"),
            format!("/v2/b/blobs/{digest}")
        );
    }
    let absent = Digest::of(b"absent");
    let path = format!("b/blobs/uploads/?mount={absent}&from=a");
    let begun = served.push(Method::POST, &path).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    served.stopped().await;
}

#[tokio::test]
async fn an_upload_is_given_up() {
    let served = serve().await;
    let location = served.begin("a").await;
    let other = location.replace("/v2/a/", "/v2/b/");
    let foreign = served.push(Method::DELETE, &other).send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
    let deleted = served.push(Method::DELETE, &location).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = served.push(Method::GET, &location).send().await.unwrap();
    assert_eq!(code(gone).await, "BLOB_UPLOAD_UNKNOWN");
    served.stopped().await;
}

#[tokio::test]
async fn a_manifest_that_names_a_missing_blob_is_refused() {
    let served = serve().await;
    served.put_blob("a", b"{}").await;
    let manifest = manifest(b"missing", None);
    let put = served.put_manifest("a", "v1", &manifest).await;
    assert_eq!(put.status(), StatusCode::BAD_REQUEST);
    assert_eq!(code(put).await, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(served.get("a/manifests/v1").await.status(), 404);
    served.stopped().await;
}

#[tokio::test]
async fn a_manifest_is_what_it_is_put_as() {
    let served = serve().await;
    let manifest = pushed(&served, "a", "v1", b"layer").await;
    let put = |name: String, kind: &'static str, body: Vec<u8>| {
        let request = served.push(Method::PUT, &format!("a/manifests/{name}"));
        let request = request.header("content-type", kind).body(body);
        async move { request.send().await.unwrap() }
    };
    let bytes = manifest.to_bytes();
    let wrong = Digest::of(b"other").to_string();
    let mismatch = put(wrong, media_type::MANIFEST, bytes.clone()).await;
    assert_eq!(code(mismatch).await, "DIGEST_INVALID");
    for (name, kind, body) in [
        ("v2", media_type::INDEX, bytes.clone()),
        ("v2", "application/json", bytes.clone()),
        ("v2", media_type::MANIFEST, b"not json".to_vec()),
        ("v2", media_type::MANIFEST, b"{}".to_vec()),
        (".v2", media_type::MANIFEST, bytes.clone()),
    ] {
        let refused = put(name.to_owned(), kind, body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(code(refused).await, "MANIFEST_INVALID");
    }
    let index = Index::new(vec![describe(&manifest)]).to_bytes();
    let taken = put("all".to_owned(), media_type::INDEX, index.clone()).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    let got = served.get("a/manifests/all").await;
    assert_eq!(header(&got, "content-type"), media_type::INDEX);
    assert_eq!(got.bytes().await.unwrap(), index);
    served.stopped().await;
}

#[tokio::test]
async fn the_store_holds_what_was_pushed() {
    let served = serve().await;
    let manifest = pushed(&served, "mirror/acme/thermostat", "1.0.0", b"layer").await;
    let tag = "1.0.0".parse().unwrap();
    let found = served.layout.resolve("mirror/acme/thermostat", &tag);
    assert_eq!(found.unwrap().unwrap().digest, describe(&manifest).digest);
    served.stopped().await;
}
