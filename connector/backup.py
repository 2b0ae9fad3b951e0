"""Backups: journal and vault copied together, stamped with where they stood, and sealed under a key of their own.

The key lies outside of the vault, so that whoever destroys it destroys every backup. A file is sealed in chunks, each
bound to its file and place; the manifest counts them, names their digests and is authenticated as a whole. A copy that
is put back goes on as a new branch of the journal: what was told after it was made is void, and consumers are told so.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from connector.errors import ConfigurationError, DataError
from connector.sealing import Sealer, derive_key

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHUNK_BYTES: Final = 1 << 20
_SUFFIX: Final = ".sealed"
_ID_BYTES: Final = 8
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a backup: its length and digest in clear, the number of its chunks, and the digest as it lies."""

    length: int
    sha256: str
    chunks: int
    sealed_sha256: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a backup was made and where the journal stood: of each shard the last commit and its tip.

    `kind` is that of the journal. `end_offsets` (Kafka) is where each topic's partitions ended: they are not in it.
    """

    at: str
    kind: str
    epoch: str
    commits: Mapping[str, int]
    tips: Mapping[str, str]
    vault_id: str
    vault_counter: int
    end_offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A backup: its random id, its stamp, and its files by name."""

    backup_id: str
    stamp: Stamp
    files: Mapping[str, SealedFile]

    def encode(self, key: bytes) -> str:
        """JSON for people and programs, with a MAC over all of it."""
        facts = self._facts()
        return json.dumps({**facts, "mac": _mac(key, facts)}, indent=2, sort_keys=True) + "\n"

    def _facts(self) -> dict[str, Any]:
        files = {name: asdict(one) for name, one in self.files.items()}
        return {"format": FORMAT, "backup_id": self.backup_id, "stamp": asdict(self.stamp), "files": files}


def read_manifest(directory: Path, key: bytes) -> Manifest:
    """The manifest of a backup.

    Raises:
        ConfigurationError: there is none, it was made under another key, or it was changed.
    """
    path = directory / MANIFEST
    try:
        facts = json.loads(path.read_bytes())
        told = facts.pop("mac")
        if not hmac.compare_digest(told, _mac(key, facts)):
            raise ConfigurationError(f"{path} was changed, or made under another backup key")
        files = {name: SealedFile(**one) for name, one in facts["files"].items()}
        return Manifest(facts["backup_id"], Stamp(**facts["stamp"]), files)
    except OSError as error:
        raise ConfigurationError(f"{directory} holds no backup that can be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no manifest of a backup") from error


def new_directory(directory: Path) -> None:
    """Make the directory of a backup, for its owner only.

    Raises:
        ConfigurationError: there is something in it, or it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty: give a backup a directory of its own")
        directory.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be made: {error.strerror}") from error


def seal_files(directory: Path, key: bytes, files: Mapping[str, Path], stamp: Stamp) -> Manifest:
    """Seal `files` (by the name that they have in a backup) into `directory`, and write the manifest last.

    Raises:
        OSError: as it comes.
    """
    backup_id = secrets.token_hex(_ID_BYTES)
    sealer = Sealer(key, label="zindigi/backup/1")
    sealed = {name: _seal(directory / (name + _SUFFIX), path, sealer, backup_id, name) for name, path in files.items()}
    manifest = Manifest(backup_id, stamp, sealed)
    with _private(directory / MANIFEST) as out:
        out.write(manifest.encode(key).encode())
        _sync(out)
    return manifest


def unseal_file(directory: Path, key: bytes, manifest: Manifest, name: str, target: Path) -> None:
    """Write one file of a backup to `target`, which must not be there.

    Raises:
        ConfigurationError: it is not what the manifest says: cut off, changed, or of another backup.
        OSError: as it comes.
    """
    path, wanted = directory / (name + _SUFFIX), manifest.files[name]
    sealer = Sealer(key, label="zindigi/backup/1")
    clear, chunks, length = hashlib.sha256(), 0, 0
    try:
        with path.open("rb") as source, _private(target) as out:
            for index, chunk in enumerate(_chunks(source)):
                part = sealer.unseal(manifest.backup_id, f"{name}/{index}", chunk)
                clear.update(part)
                length += len(part)
                chunks += 1
                out.write(part)
            _sync(out)
    except DataError as error:
        raise ConfigurationError(f"{path} was changed, or belongs to another backup") from error
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} is missing") from error
    if (length, clear.hexdigest(), chunks) != (wanted.length, wanted.sha256, wanted.chunks):
        raise ConfigurationError(f"{path} is not whole")


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of an SQLite file, also while others write to it; mode 0600.

    Raises:
        sqlite3.Error, OSError: as they come.
    """
    _private(target).close()
    origin = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    try:
        copy = sqlite3.connect(target)
        try:
            origin.backup(copy)
        finally:
            copy.close()
    finally:
        origin.close()


def put_into_place(draft: Path, path: Path) -> None:
    """Give a finished file its name, unless there is one of that name.

    Raises:
        ConfigurationError: there is.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already: a restore overwrites nothing; move it away first") from None
    draft.unlink()
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal(target: Path, path: Path, sealer: Sealer, backup_id: str, name: str) -> SealedFile:
    clear, sealed, chunks, length = hashlib.sha256(), hashlib.sha256(), 0, 0
    with path.open("rb") as source, _private(target) as out:
        while part := source.read(CHUNK_BYTES):
            chunk = sealer.seal(backup_id, f"{name}/{chunks}", part)
            framed = len(chunk).to_bytes(_LENGTH_BYTES, "big") + chunk
            out.write(framed)
            clear.update(part)
            sealed.update(framed)
            length += len(part)
            chunks += 1
        _sync(out)
    return SealedFile(length, clear.hexdigest(), chunks, sealed.hexdigest())


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while length := source.read(_LENGTH_BYTES):
        yield source.read(min(int.from_bytes(length, "big"), 2 * CHUNK_BYTES))


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _mac(key: bytes, facts: Mapping[str, Any]) -> str:
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    return hmac.digest(derive_key(key, "zindigi/backup-manifest/1"), canonical, "sha256").hex()
