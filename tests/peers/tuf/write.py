"""Writes trust repositories with python-tuf, good ones and others.

    write.py DIRECTORY

One directory for each case, and `root.json`, what devices are given. All of it
holds on 2026-01-15; what expires early does so on 2026-01-10.
"""

import json
import sys
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

LATE = datetime(2027, 1, 1, tzinfo=timezone.utc)
SOON = datetime(2026, 1, 10, tzinfo=timezone.utc)
ROLES = ("root", "targets", "snapshot", "timestamp")


def signers():
    """One of each kind that is in use."""
    return {
        "root": [CryptoSigner.generate_ecdsa()],
        "targets": [CryptoSigner.generate_ed25519()],
        "snapshot": [CryptoSigner.generate_ecdsa()],
        "timestamp": [CryptoSigner.generate_ed25519()],
    }


def policy(number):
    text = {
        "v": 1,
        "trust": {"main": "roots/trusted_root.json"},
        "floor": {"acme/thermostat": f"1.0.{number}"},
    }
    return json.dumps(text).encode()


class Repository:
    """Metadata before it is signed; whoever writes it may change anything."""

    def __init__(self, keys, consistent=True):
        self.keys = keys
        self.consistent = consistent
        self.roots = []
        self.files = {}
        self.root = Root(expires=LATE, consistent_snapshot=consistent)
        self.bind(keys)
        self.add_root([keys["root"]])
        self.targets = Targets(expires=LATE)
        self.snapshot = Snapshot(expires=LATE)
        self.timestamp = Timestamp(expires=LATE)
        self.delegated = {}
        self.publish(1)

    def bind(self, keys):
        for role in ROLES:
            for keyid in list(self.root.roles[role].keyids):
                self.root.revoke_key(keyid, role)
            for signer in keys[role]:
                self.root.add_key(signer.public_key, role)
            self.root.roles[role].threshold = len(keys[role])

    def add_root(self, by):
        """Adds the root as it stands, signed by these."""
        metadata = Metadata(deepcopy(self.root))
        for group in by:
            for signer in group:
                metadata.sign(signer, append=True)
        self.roots.append(metadata.to_bytes(JSONSerializer()))

    def rotate(self, keys, by=None, expires=LATE):
        old = self.keys["root"]
        self.bind(keys)
        self.keys = keys
        self.root.version += 1
        self.root.expires = expires
        self.add_root(by or [old, keys["root"]])

    def put(self, role, name, content):
        role.targets[name] = TargetFile.from_data(name, content, ["sha256"])
        self.files[name] = content

    def publish(self, number):
        self.put(self.targets, "policy.json", policy(number))
        self.put(self.targets, "roots/trusted_root.json", b'{"number": %d}' % number)
        for role in (self.targets, self.snapshot, self.timestamp):
            role.version = number
        self.snapshot.meta["targets.json"].version = number
        self.timestamp.snapshot_meta.version = number

    def sign(self, role, signed):
        metadata = Metadata(signed)
        for signer in self.keys[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer())

    def write(self, directory, flat=False):
        metadata = directory if flat else directory / "metadata"
        targets = directory if flat else directory / "targets"
        metadata.mkdir(parents=True)
        for number, root in enumerate(self.roots, 1):
            (metadata / f"{number}.root.json").write_bytes(root)

        def name(role, signed):
            return f"{signed.version}.{role}.json" if self.consistent else f"{role}.json"

        for role in ("targets", "snapshot"):
            signed = getattr(self, role)
            (metadata / name(role, signed)).write_bytes(self.sign(role, signed))
        for role, (signer, signed) in self.delegated.items():
            content = Metadata(signed)
            content.sign(signer)
            (metadata / name(role, signed)).write_bytes(content.to_bytes(JSONSerializer()))
        (metadata / "timestamp.json").write_bytes(self.sign("timestamp", self.timestamp))
        listed = dict(self.targets.targets)
        for _, signed in self.delegated.values():
            listed.update(signed.targets)
        for target, info in listed.items():
            path = targets / target
            if self.consistent:
                path = path.with_name(f"{info.hashes['sha256']}.{path.name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.files[target])

    def delegate(self, paths):
        signer = CryptoSigner.generate_ed25519()
        key = signer.public_key
        role = DelegatedRole("acme", [key.keyid], 1, False, paths)
        self.targets.delegations = Delegations({key.keyid: key}, {"acme": role})
        signed = Targets(version=1, expires=LATE)
        self.snapshot.meta["acme.json"] = deepcopy(self.snapshot.meta["targets.json"])
        self.snapshot.meta["acme.json"].version = 1
        self.delegated["acme"] = (signer, signed)
        return signed


def good(directory, keys):
    first = Repository(keys)
    (directory / "root.json").write_bytes(first.roots[0])
    first.write(directory / "good-1")
    second = deepcopy_of(first)
    second.publish(2)
    second.write(directory / "good-2")
    second.write(directory / "flat-2", flat=True)
    return first, second


def deepcopy_of(repository):
    """A copy that signs with the same keys."""
    copy = Repository.__new__(Repository)
    copy.__dict__.update(repository.__dict__)
    for field in ("root", "roots", "targets", "snapshot", "timestamp", "files", "delegated"):
        setattr(copy, field, deepcopy(getattr(repository, field)))
    return copy


def attacks(directory, second):
    case = deepcopy_of(second)
    case.publish(3)
    case.targets.version = case.snapshot.meta["targets.json"].version = 1
    case.write(directory / "targets-back")

    case = deepcopy_of(second)
    case.publish(3)
    case.snapshot.version = case.timestamp.snapshot_meta.version = 1
    case.write(directory / "snapshot-back")

    for role in ("timestamp", "snapshot", "targets"):
        case = deepcopy_of(second)
        case.publish(3)
        getattr(case, role).expires = SOON
        case.write(directory / f"{role}-expired")

    case = deepcopy_of(second)
    case.publish(3)
    role = case.delegate(["*"])
    case.put(role, "policy.json", policy(66))
    del case.targets.targets["policy.json"]
    case.write(directory / "delegated-policy")

    case = deepcopy_of(second)
    case.publish(3)
    role = case.delegate(["*"])
    case.put(role, "acme.txt", b"acme")
    case.write(directory / "delegating")

    case = deepcopy_of(second)
    case.publish(3)
    del case.targets.targets["policy.json"]
    case.write(directory / "no-policy")

    case = deepcopy_of(second)
    case.publish(3)
    del case.targets.targets["roots/trusted_root.json"]
    case.write(directory / "no-root-file")

    case = deepcopy_of(second)
    case.publish(3)
    case.put(case.targets, "policy.json", b"[]")
    case.write(directory / "other-policy")

    case = deepcopy_of(second)
    case.publish(3)
    case.files["policy.json"] = policy(9)
    case.write(directory / "tampered")

    case = deepcopy_of(second)
    case.publish(3)
    case.keys = {**case.keys, "targets": [CryptoSigner.generate_ed25519()]}
    case.write(directory / "unknown-signer")

    Repository(signers()).write(directory / "stranger")

    case = deepcopy_of(second)
    keys = {**signers(), "targets": [CryptoSigner.generate_ecdsa() for _ in range(2)]}
    case.rotate(keys)
    case.publish(3)
    case.keys = {**keys, "targets": keys["targets"][:1]}
    case.write(directory / "too-few")


def rotations(directory, second):
    case = deepcopy_of(second)
    case.rotate(signers(), expires=SOON)
    case.rotate(signers(), expires=SOON)
    case.rotate(signers())
    case.publish(3)
    case.write(directory / "rotated")

    case = deepcopy_of(second)
    keys = signers()
    case.rotate(keys, by=[keys["root"]])
    case.publish(3)
    case.write(directory / "usurped")

    case = deepcopy_of(second)
    case.rotate(second.keys, expires=SOON)
    case.publish(3)
    case.write(directory / "root-expired")

    # Versions that a thief of the online keys drove up, and the way back.
    case = deepcopy_of(second)
    case.publish(3)
    for role in (case.targets, case.snapshot, case.timestamp):
        role.version = 2**60
    case.snapshot.meta["targets.json"].version = 2**60
    case.timestamp.snapshot_meta.version = 2**60
    case.write(directory / "fast-forward")
    case = deepcopy_of(second)
    fresh = signers()
    case.rotate({**second.keys, "snapshot": fresh["snapshot"], "timestamp": fresh["timestamp"]})
    case.publish(4)
    case.write(directory / "recovered")


def plain(directory, keys):
    """Files that are written over, and a copy that got some of each."""
    first = Repository(keys, consistent=False)
    (directory / "plain-root.json").write_bytes(first.roots[0])
    first.write(directory / "plain-1")
    second = deepcopy_of(first)
    second.publish(2)
    second.write(directory / "plain-2")
    for name, file in (
        ("mixed-snapshot", "metadata/snapshot.json"),
        ("mixed-targets", "metadata/targets.json"),
        ("mixed-policy", "targets/policy.json"),
    ):
        second.write(directory / name)
        (directory / name / file).write_bytes((directory / "plain-1" / file).read_bytes())


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    keys = signers()
    _, second = good(directory, keys)
    attacks(directory, second)
    rotations(directory, second)
    plain(directory, keys)


main()
