"""Other people's registry client: oras-py, over plain HTTP.

    python client.py push HOST:PORT/NAME:TAG FILE:TYPE... [--config FILE:TYPE]
        [--annotation KEY=VALUE]... [--chunk-bytes N]     -> {"digest", "size"}
    python client.py attach HOST:PORT/NAME:TAG FILE:TYPE --type ARTIFACT_TYPE
                                                          -> {"digest", "subject"}
    python client.py pull HOST:PORT/NAME:TAG --into FOLDER   -> {"files": []}
    python client.py manifest HOST:PORT/NAME:TAG      -> {"digest", "manifest"}
    python client.py tags HOST:PORT/NAME                      -> {"tags": []}
    python client.py referrers HOST:PORT/NAME@DIGEST [--type ARTIFACT_TYPE]
                                                         -> {"referrers": []}

In place of `:TAG` there may be `@DIGEST`. `attach` pushes a manifest that names
the first as its subject; it writes no fallback tag. Prints one line of JSON; any
refusal ends with a traceback and exit code 1.
"""

import argparse
import hashlib
import json
import logging
import os
import pathlib
from dataclasses import asdict

import oras.client
import oras.defaults
import oras.oci
import oras.provider
import requests

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Client:
    def __init__(self, target: str) -> None:
        self.oras = oras.client.OrasClient(insecure=True)
        self.target = target
        self.container = self.oras.get_container(target)

    def checked(self, response: requests.Response) -> requests.Response:
        response.raise_for_status()
        return response

    def manifest_bytes(self) -> bytes:
        url = f"http://{self.container.manifest_url()}"
        accept = ", ".join(oras.defaults.default_manifest_accepted_media_types)
        answer = self.oras.do_request(url, "GET", headers={"Accept": accept})
        return self.checked(answer).content

    def push(self, arguments: argparse.Namespace) -> dict:
        chunks = {}
        if arguments.chunk_bytes:
            chunks = {"do_chunked": True, "chunk_size": arguments.chunk_bytes}
        answer = self.oras.push(
            target=self.target,
            files=arguments.files,
            manifest_config=arguments.config,
            manifest_annotations=dict(a.split("=", 1) for a in arguments.annotation),
            disable_path_validation=True,
            quiet=True,
            **chunks,
        )
        pushed = self.checked(answer).request.body
        pushed = pushed.encode() if isinstance(pushed, str) else pushed
        return {"digest": digest_of(pushed), "size": len(pushed)}

    def attach(self, arguments: argparse.Namespace) -> dict:
        raw = self.manifest_bytes()
        subject = oras.oci.Subject(
            json.loads(raw)["mediaType"], digest_of(raw), len(raw)
        )
        path, media_type = arguments.file.rsplit(":", 1)
        layer = oras.oci.NewLayer(path, media_type=media_type)
        self.checked(self.oras.upload_blob(path, self.container, layer))
        config, _ = oras.oci.ManifestConfig(media_type=EMPTY_TYPE)
        with oras.provider.temporary_empty_config() as empty:
            self.checked(self.oras.upload_blob(empty, self.container, config))
        manifest = oras.oci.NewManifest() | {
            "artifactType": arguments.type,
            "config": config,
            "layers": [layer],
            "subject": asdict(subject),
        }
        digest = digest_of(json.dumps(manifest).encode())
        name = f"{self.container.registry}/{self.container.api_prefix}@{digest}"
        answer = self.oras.upload_manifest(manifest, self.oras.get_container(name))
        self.checked(answer)
        return {"digest": digest, "subject": subject.digest}

    def pull(self, arguments: argparse.Namespace) -> dict:
        os.makedirs(arguments.into, exist_ok=True)
        files = self.oras.pull(self.target, outdir=str(arguments.into))
        return {"files": files}

    def manifest(self, _arguments: argparse.Namespace) -> dict:
        raw = self.manifest_bytes()
        return {"digest": digest_of(raw), "manifest": json.loads(raw)}

    def tags(self, _arguments: argparse.Namespace) -> dict:
        return {"tags": self.oras.get_tags(self.container)}

    def referrers(self, arguments: argparse.Namespace) -> dict:
        prefix = f"http://{self.container.registry}/v2/{self.container.api_prefix}"
        url = f"{prefix}/referrers/{self.container.digest}"
        if arguments.type:
            url += f"?artifactType={requests.utils.quote(arguments.type, safe='')}"
        answer = self.oras.do_request(url, "GET")
        return {"referrers": self.checked(answer).json()["manifests"]}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push")
    attach = commands.add_parser("attach")
    pull = commands.add_parser("pull")
    manifest = commands.add_parser("manifest")
    tags = commands.add_parser("tags")
    referrers = commands.add_parser("referrers")
    for command in [push, attach, pull, manifest, tags, referrers]:
        command.add_argument("target")
    push.add_argument("files", nargs="+")
    push.add_argument("--config")
    push.add_argument("--annotation", action="append", default=[])
    push.add_argument("--chunk-bytes", type=int)
    attach.add_argument("file")
    attach.add_argument("--type", required=True)
    pull.add_argument("--into", required=True, type=pathlib.Path)
    referrers.add_argument("--type")
    return parser.parse_args()


def main() -> None:
    # oras-py writes its log to standard output.
    logging.disable(logging.CRITICAL)
    arguments = parse()
    client = Client(arguments.target)
    print(json.dumps(getattr(client, arguments.command)(arguments)))


main()
