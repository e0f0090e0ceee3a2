"""Where the files are: a local folder or a bucket, by the same calls.

Keys are made here, from ids and the content's hash; nothing from outside becomes a path.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from chassis import clock
from chassis.settings import SettingsError

CHUNK_BYTES = 64 * 1024
"""Largest piece that is sent on at once."""
WRITING_S = 10.0
"""Nobody is still writing a picture then; a delivery is repeated later than that."""


class FileGoneError(Exception):
    """The row says that there is a file, the store has none."""


def key_of(account_id: str, image_id: str, sha256: str) -> str:
    """Different bytes never share a key, so that no late worker can change a stored file."""
    return f"{account_id}/{image_id}/{sha256}.png"


class Files:
    """A place for files, from `file:///folder` or `s3://bucket/prefix`.

    Credentials and endpoint of a bucket come from the usual AWS_* variables. Raises
    SettingsError for any other address, and for a folder that cannot be made.
    """

    def __init__(self, url: str) -> None:
        self._folder = _folder(url)
        self._store = _open(self._folder) if self._folder else _bucket(url)

    async def put(self, key: str, data: bytes) -> None:
        """Stores the whole file or nothing; the same key again replaces it."""
        await obstore.put_async(self._store, key, data)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces of at most CHUNK_BYTES. Raises FileGoneError before the first."""
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError as error:
            raise FileGoneError(key) from error
        return _pieces(found)

    async def delete(self, key: str) -> None:
        """Removes the file if it is there."""
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def keep_only(self, key: str) -> None:
        """Removes what crashed workers have left beside the file of an image."""
        prefix = key.rpartition("/")[0]
        async for batch in obstore.list(self._store, prefix):
            for entry in batch:
                if entry["path"] != key:
                    await self.delete(entry["path"])
        if self._folder:
            before = clock.now().timestamp() - WRITING_S
            await asyncio.to_thread(_remove_parts, self._folder / prefix, before)


async def _pieces(found: obstore.GetResult) -> AsyncIterator[bytes]:
    async for part in found.stream(min_chunk_size=CHUNK_BYTES):
        whole = memoryview(part)
        for start in range(0, len(whole), CHUNK_BYTES):
            yield bytes(whole[start : start + CHUNK_BYTES])


def _remove_parts(folder: Path, before: float) -> None:
    """Removes files that nobody is writing any more; the local store never lists them.

    A younger one is a twin's, whose delivery came at the same time.
    """
    for part in folder.glob("*.png#*"):
        # Its writer may finish it right now.
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < before:
                part.unlink()


def _folder(url: str) -> Path | None:
    parts = urlsplit(url)
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    return Path(unquote(parts.path)) if is_folder else None


def _open(folder: Path) -> ObjectStore:
    try:
        return LocalStore(folder, mkdir=True)
    except (BaseError, OSError) as error:
        raise SettingsError(f"WRITER_FILES_URL: {folder} cannot be used") from error


def _bucket(url: str) -> ObjectStore:
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "") or os.environ.get("AWS_ENDPOINT", "")
        # Plain HTTP only where the operator's own endpoint says so.
        return S3Store.from_url(url, client_options={"allow_http": endpoint.startswith("http:")})
    raise SettingsError(f"WRITER_FILES_URL must be file:///folder or s3://bucket/prefix: {url!r}")
