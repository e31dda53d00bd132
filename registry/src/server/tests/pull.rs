//! Pulling: manifests, blobs, ranges, lists, and what is gone.

use reqwest::{Method, StatusCode};
use selvedge_artifact::{Digest, Manifest, media_type};

use super::{code, describe, header, json, manifest, pushed, serve};

#[tokio::test]
async fn the_registry_says_that_it_is_one() {
    let served = serve().await;
    for path in ["", "/v2/"] {
        assert_eq!(served.get(path).await.status(), StatusCode::OK);
    }
    let head = served.ask(Method::HEAD, "").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    served.stopped().await;
}

#[tokio::test]
async fn a_manifest_is_pulled_by_tag_and_by_digest() {
    let served = serve().await;
    let manifest = pushed(&served, "acme/thermostat", "1.0.0", b"layer").await;
    let digest = describe(&manifest).digest;
    for name in [
        "1.0.0".to_owned(),
        digest.to_string(),
        digest.to_string().replace(':', "%3A"),
    ] {
        let path = format!("acme/thermostat/manifests/{name}");
        let response = served.get(&path).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(header(&response, "content-type"), media_type::MANIFEST);
        assert_eq!(
            header(&response, "docker-content-digest"),
            digest.to_string()
        );
        assert_eq!(response.bytes().await.unwrap(), manifest.to_bytes());

        let head = served.ask(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        let length = manifest.to_bytes().len().to_string();
        assert_eq!(header(&head, "content-length"), length);
        assert_eq!(head.bytes().await.unwrap().len(), 0);
    }
    served.stopped().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_by_its_code() {
    let served = serve().await;
    let digest = Digest::of(b"nowhere");
    let foreign = format!("sha512:{}", "0".repeat(128));
    for (path, status, expected) in [
        (format!("a/manifests/{digest}"), 404, "MANIFEST_UNKNOWN"),
        ("a/manifests/none".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("a/manifests/.none".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("a/manifests/{foreign}"), 404, "MANIFEST_UNKNOWN"),
        (format!("a/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        (format!("a/blobs/{foreign}"), 404, "BLOB_UNKNOWN"),
        ("a/blobs/sha256:00".to_owned(), 400, "DIGEST_INVALID"),
        ("a/blobs/none".to_owned(), 400, "DIGEST_INVALID"),
        ("a/referrers/none".to_owned(), 400, "DIGEST_INVALID"),
        ("a/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("A/tags/list".to_owned(), 400, "NAME_INVALID"),
        ("a/nothing".to_owned(), 404, "UNSUPPORTED"),
    ] {
        let response = served.get(&path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(code(response).await, expected, "{path}");
    }
    served.stopped().await;
}

#[tokio::test]
async fn a_blob_is_pulled_whole_and_in_part() {
    let served = serve().await;
    let bytes: Vec<u8> = (0..400_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let digest = served.put_blob("a", &bytes).await;
    let path = format!("a/blobs/{digest}");
    let whole = served.get(&path).await;
    assert_eq!(header(&whole, "content-length"), "400000");
    assert_eq!(header(&whole, "docker-content-digest"), digest.to_string());
    assert_eq!(whole.bytes().await.unwrap(), bytes);

    let head = served.ask(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), "400000");

    let part = |range: &'static str| served.ask(Method::GET, &path).header("range", range).send();
    let response = part("bytes=130000-299999").await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        header(&response, "content-range"),
        "bytes 130000-299999/400000"
    );
    assert_eq!(response.bytes().await.unwrap(), bytes[130_000..300_000]);
    let tail = part("bytes=-5").await.unwrap();
    assert_eq!(tail.bytes().await.unwrap(), bytes[399_995..]);
    let beyond = part("bytes=400000-").await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&beyond, "content-range"), "bytes */400000");
    served.stopped().await;
}

#[tokio::test]
async fn tags_come_in_pages_and_only_of_their_repository() {
    let served = serve().await;
    let manifest = pushed(&served, "a/b", "v3", b"layer").await;
    for tag in ["v1", "v2", "v10"] {
        served.put_manifest("a/b", tag, &manifest).await;
    }
    served.put_manifest("a/c", "other", &manifest).await;

    let all = json(served.get("a/b/tags/list").await).await;
    let expected = serde_json::json!({ "name": "a/b", "tags": ["v1", "v10", "v2", "v3"] });
    assert_eq!(all, expected);
    let mut path = "a/b/tags/list?n=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let response = served.get(&path).await;
        let link = header(&response, "link").to_owned();
        pages.push(json(response).await["tags"].clone());
        let Some((next, _)) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        path = next.to_owned();
    }
    let expected = serde_json::json!([["v1", "v10"], ["v2", "v3"]]);
    assert_eq!(serde_json::Value::from(pages), expected);
    let none = json(served.get("a/b/tags/list?n=0").await).await;
    assert_eq!(none["tags"], serde_json::json!([]));
    assert_eq!(served.get("a/b/tags/list?n=x").await.status(), 400);
    served.stopped().await;
}

#[tokio::test]
async fn referrers_are_listed_also_before_their_subject() {
    let served = serve().await;
    let subject = describe(&manifest(b"layer", None));
    let path = format!("a/referrers/{}", subject.digest);
    let none = served.get(&path).await;
    assert_eq!(none.status(), StatusCode::OK);
    assert_eq!(json(none).await["manifests"], serde_json::json!([]));

    served.put_blob("a", b"{}").await;
    served.put_blob("a", b"signature").await;
    let about = manifest(b"signature", Some(subject.clone()));
    let name = describe(&about).digest.to_string();
    let put = served.put_manifest("a", &name, &about).await;
    assert_eq!(put.status(), StatusCode::CREATED);
    assert_eq!(header(&put, "oci-subject"), subject.digest.to_string());
    let other = Manifest {
        artifact_type: Some("application/other".to_owned()),
        ..about.clone()
    };
    served.put_manifest("a", "other", &other).await;
    pushed(&served, "a", "v1", b"layer").await;

    let all = served.get(&path).await;
    assert_eq!(header(&all, "content-type"), media_type::INDEX);
    assert_eq!(header(&all, "oci-filters-applied"), "");
    let all = json(all).await;
    assert_eq!(all["manifests"].as_array().unwrap().len(), 2);
    let filtered = format!("{path}?artifactType=application/vnd.example%2Bjson");
    for path in [filtered.clone(), filtered.replace("%2B", "+")] {
        let filtered = served.get(&path).await;
        assert_eq!(header(&filtered, "oci-filters-applied"), "artifactType");
        let filtered = json(filtered).await;
        let found = filtered["manifests"].as_array().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["digest"], name);
        assert_eq!(found[0]["artifactType"], "application/vnd.example+json");
        assert_eq!(found[0]["annotations"]["a"], "b");
    }
    served.stopped().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let served = serve().await;
    let manifest = pushed(&served, "a", "v1", b"layer").await;
    served.put_manifest("a", "v2", &manifest).await;
    let digest = describe(&manifest).digest;
    let blob = Digest::of(b"layer");
    let delete = |path: String| {
        let request = served.push(Method::DELETE, &path);
        async move { request.send().await.unwrap() }
    };

    let in_use = delete(format!("a/blobs/{blob}")).await;
    assert_eq!(in_use.status(), StatusCode::CONFLICT);
    assert_eq!(delete("a/manifests/v1".to_owned()).await.status(), 202);
    assert_eq!(delete("a/manifests/v1".to_owned()).await.status(), 404);
    assert_eq!(served.get("a/manifests/v1").await.status(), 404);
    assert_eq!(served.get("a/manifests/v2").await.status(), 200);
    assert_eq!(delete(format!("a/manifests/{digest}")).await.status(), 202);
    assert_eq!(served.get("a/manifests/v2").await.status(), 404);
    assert_eq!(
        served.get(&format!("a/manifests/{digest}")).await.status(),
        404
    );
    assert_eq!(delete(format!("a/manifests/{digest}")).await.status(), 404);
    assert_eq!(delete(format!("a/blobs/{blob}")).await.status(), 202);
    assert_eq!(served.get(&format!("a/blobs/{blob}")).await.status(), 404);
    assert_eq!(delete(format!("a/blobs/{blob}")).await.status(), 404);
    served.stopped().await;
}
