use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use selvedge_artifact::Digest;

use super::{Instance, KeylessSigner};
use crate::SignError;
use crate::loopback::{nobody, serve};
use crate::service::{Service, ServiceError};
use crate::statement::release;

fn token(expires: i64) -> String {
    let claims = format!(r#"{{"iss":"https://issuer.example","sub":"me","exp":{expires}}}"#);
    format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
}

fn instance(fulcio: &str) -> Instance {
    Instance {
        fulcio: fulcio.to_owned(),
        rekor: nobody(),
        rekor_v2: false,
        timestamp: None,
    }
}

const FAR: i64 = 9_999_999_999;

fn refusal(instance: Instance, token: &str, roots: &[Vec<u8>]) -> SignError {
    KeylessSigner::new(instance, token, roots).unwrap_err()
}

#[test]
fn what_is_no_token_is_refused() {
    let here = || instance("http://127.0.0.1:1");
    for text in ["", "a.b.c", "e30.e30.e30", &"x".repeat(70_000)] {
        let error = refusal(here(), text, &[]);
        assert!(matches!(error, SignError::TokenMalformed), "{error}");
    }
    let error = refusal(here(), &token(1), &[]);
    assert!(matches!(error, SignError::TokenExpired { expired } if expired.as_second() == 1));
    let signer = KeylessSigner::new(here(), &format!("{}\n", token(FAR)), &[]).unwrap();
    assert!(
        !format!("{signer:?}").contains("c2lnbmF0dXJl"),
        "tokens are not told"
    );
}

#[test]
fn an_instance_that_cannot_work_is_refused() {
    let token = &token(FAR);
    let error = refusal(instance("http://fulcio.example"), token, &[]);
    let service = Service::Fulcio;
    let expected = ServiceError::Address { service };
    assert!(
        matches!(error, SignError::Service(found) if found.to_string() == expected.to_string())
    );

    let second = Instance {
        rekor_v2: true,
        ..instance("http://127.0.0.1:1")
    };
    assert!(matches!(
        refusal(second, token, &[]),
        SignError::Instance { .. }
    ));

    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let error = refusal(instance("https://127.0.0.1:1"), token, &[broken]);
    assert!(
        matches!(error, SignError::Service(ServiceError::Roots { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn refusals_and_silence_are_told_apart() {
    let statement = release(&"acme/x".parse().unwrap(), &Digest::of(b""));
    let sign = async |fulcio: &str| {
        let signer = KeylessSigner::new(instance(fulcio), &token(FAR), &[]).unwrap();
        match signer.sign(&statement).await.unwrap_err() {
            SignError::Service(error) => error,
            other => panic!("{other}"),
        }
    };
    let refusing = serve(|_, _| (403, b"no\x1b[31m such issuer".to_vec()));
    let error = sign(&format!("{refusing}/")).await;
    assert!(matches!(
        error,
        ServiceError::Refused {
            service: Service::Fulcio,
            status: Some(403),
            ..
        }
    ));
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert!(said.contains("no [31m such issuer"), "{said}");

    let error = sign(&nobody()).await;
    assert!(matches!(
        error,
        ServiceError::Unreachable {
            service: Service::Fulcio,
            ..
        }
    ));
    let babbling = serve(|_, _| (200, b"{}".to_vec()));
    let error = sign(&babbling).await;
    assert!(
        matches!(
            error,
            ServiceError::Answer {
                service: Service::Fulcio,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_statement_is_not_signed() {
    let signer = KeylessSigner::new(instance(&nobody()), &token(FAR), &[]).unwrap();
    let error = signer.sign(b"{}").await.unwrap_err();
    assert!(matches!(error, SignError::Statement { .. }), "{error}");
}
