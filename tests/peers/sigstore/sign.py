"""Signs with PyPI's sigstore at a private instance (server.mjs).

    python sign.py message|dsse --instance URL --artifact FILE --bundle FILE
        --subject SUBJECT --issuer ISSUER [--claims JSON] [--no-tsa]

`message` signs the bytes of the artifact; `dsse` takes them for an in-toto
statement, wraps it in an envelope and signs that. Writes the bundle; prints
`{"bundle", "media_type"}`.
"""

import argparse
import json
import pathlib
import tempfile

import requests
from sigstore import dsse
from sigstore._internal.fulcio import FulcioClient
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.timestamp import TimestampAuthorityClient
from sigstore.models import Bundle, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

TIMEOUT_SECONDS = 30


def fetched(response: requests.Response) -> requests.Response:
    response.raise_for_status()
    return response


def trusted_root(instance: str) -> TrustedRoot:
    url = f"{instance}/trusted_root.json"
    with tempfile.NamedTemporaryFile() as file:
        file.write(fetched(requests.get(url, timeout=TIMEOUT_SECONDS)).content)
        file.flush()
        return TrustedRoot.from_file(file.name)


def token(arguments: argparse.Namespace) -> IdentityToken:
    url = f"{arguments.instance}/token"
    wanted = {
        "subject": arguments.subject,
        "issuer": arguments.issuer,
        "claims": json.loads(arguments.claims),
    }
    answer = fetched(requests.post(url, json=wanted, timeout=TIMEOUT_SECONDS))
    return IdentityToken(answer.json()["token"])


def sign(arguments: argparse.Namespace) -> Bundle:
    timestamps = f"{arguments.instance}/api/v1/timestamp"
    # A `SigningConfig` would be the public way. It says the same three addresses,
    # each with an API version and a time of validity.
    context = SigningContext(
        fulcio=FulcioClient(arguments.instance),
        rekor=RekorClient(arguments.instance),
        trusted_root=trusted_root(arguments.instance),
        tsa_clients=[] if arguments.no_tsa else [TimestampAuthorityClient(timestamps)],
    )
    artifact = arguments.artifact.read_bytes()
    with context.signer(token(arguments)) as signer:
        if arguments.what == "dsse":
            return signer.sign_dsse(dsse.Statement(artifact))
        return signer.sign_artifact(artifact)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["message", "dsse"])
    parser.add_argument("--instance", required=True)
    parser.add_argument("--artifact", required=True, type=pathlib.Path)
    parser.add_argument("--bundle", required=True, type=pathlib.Path)
    parser.add_argument("--subject", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--claims", default="{}")
    parser.add_argument("--no-tsa", action="store_true")
    arguments = parser.parse_args()
    bundle = sign(arguments).to_json()
    arguments.bundle.write_text(bundle)
    media_type = json.loads(bundle)["mediaType"]
    print(json.dumps({"bundle": str(arguments.bundle), "media_type": media_type}))


main()
