"""Verifies a bundle with PyPI's sigstore, offline.

    python verify.py --bundle FILE --trusted-root FILE [--artifact FILE]
        --identity SUBJECT --issuer ISSUER

`--artifact` is for a signed message; an envelope has its payload in it. There is
no managed key here: sigstore-python takes only bundles with a certificate.

Prints `{"ok": true, "identity", "payload_type", "payload"}`, the payload of an
envelope in base64, or `{"ok": false, "code", "error"}` with exit code 1.
"""

import argparse
import base64
import json
import pathlib
import sys

from sigstore.errors import Error
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity


def verify(arguments: argparse.Namespace) -> dict:
    verifier = Verifier(trusted_root=TrustedRoot.from_file(arguments.trusted_root))
    policy = Identity(identity=arguments.identity, issuer=arguments.issuer)
    bundle = Bundle.from_json(arguments.bundle.read_bytes())
    accepted = {"ok": True, "identity": arguments.identity}
    if arguments.artifact is not None:
        verifier.verify_artifact(arguments.artifact.read_bytes(), bundle, policy)
        return accepted
    payload_type, payload = verifier.verify_dsse(bundle, policy)
    encoded = base64.b64encode(payload).decode()
    return accepted | {"payload_type": payload_type, "payload": encoded}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", required=True, type=pathlib.Path)
    parser.add_argument("--trusted-root", required=True)
    parser.add_argument("--artifact", type=pathlib.Path)
    parser.add_argument("--identity", required=True)
    parser.add_argument("--issuer", required=True)
    try:
        print(json.dumps(verify(parser.parse_args())))
    except Error as error:
        code = type(error).__name__
        print(json.dumps({"ok": False, "code": code, "error": str(error)}))
        sys.exit(1)


main()
