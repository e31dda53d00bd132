"""Reads a trust repository as python-tuf's client does.

    read.py ROOT REPOSITORY STORE TARGET...

ROOT is the root metadata that devices are given, STORE is what the client keeps.
Prints the content of each target.
"""

import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Files(FetcherInterface):
    """Files in place of a server."""

    def _fetch(self, url):
        path = Path(unquote(urlparse(url).path))
        if not path.is_file():
            raise DownloadHTTPError(f"no {path}", 404)
        yield path.read_bytes()


def main():
    root, repository, store, *targets = sys.argv[1:]
    metadata, downloads = Path(store) / "metadata", Path(store) / "targets"
    metadata.mkdir(parents=True, exist_ok=True)
    downloads.mkdir(parents=True, exist_ok=True)
    base = Path(repository).resolve().as_uri()
    updater = Updater(
        metadata_dir=str(metadata),
        metadata_base_url=f"{base}/metadata/",
        target_dir=str(downloads),
        target_base_url=f"{base}/targets/",
        fetcher=Files(),
        bootstrap=Path(root).read_bytes(),
    )
    updater.refresh()
    for target in targets:
        info = updater.get_targetinfo(target)
        if info is None:
            sys.exit(f"no target {target}")
        path = updater.download_target(info)
        print(Path(path).read_text(), end="")


main()
