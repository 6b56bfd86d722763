"""A bundle out of a tar archive: plain files in plain folders, inside one folder, within bounds."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from polyhead_server.bundle import MANIFEST
from polyhead_server.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FILES = 10_000
_CHUNK_BYTES = 1 << 20


def extract_bundle(archive: Path, folder: Path, *, most_bytes: int) -> Path:
    """Lay the files of an archive into a folder.

    Args:
        archive: tar, plain or compressed by gzip, bzip2 or xz.
        folder: exists and is empty.
        most_bytes: bytes that all files may have together.

    Returns:
        Where the bundle is: the folder, or the one folder in it.

    Raises:
        BundleError: not such an archive, larger than that, or with an entry that is no plain file
            or folder, or has a name that leads elsewhere.
    """
    try:
        with tarfile.open(archive) as opened:
            _extract(opened, folder, most_bytes)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError):
        raise BundleError(
            "the archive cannot be read: it is damaged, or no tar, plain or compressed"
        ) from None
    except OSError as error:
        raise BundleError(f"the archive cannot be unpacked: {error.strerror or error}") from None
    return _top(folder)


def _extract(archive: tarfile.TarFile, folder: Path, most_bytes: int) -> None:
    left = most_bytes
    for member, name in _members(archive):
        place = folder / name
        if member.isdir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        left -= member.size
        if left < 0:
            raise BundleError(f"the archive holds more than {most_bytes} bytes")
        source = archive.extractfile(member)
        if source is None:
            raise BundleError(f"the archive's entry {member.name!r} is no plain file")
        place.parent.mkdir(parents=True, exist_ok=True)
        with source, place.open("xb") as target:
            _copy(source, target, member)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Entries with the paths that they may have.

    Raises:
        BundleError: one must not be unpacked.
    """
    for number, member in enumerate(archive):
        if number >= _MOST_FILES:
            raise BundleError(f"the archive has more than {_MOST_FILES} entries")
        if not (member.isreg() or member.isdir()):
            raise BundleError(f"the archive's entry {member.name!r} is no plain file or folder")
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name:
            raise BundleError(f"the archive's entry {member.name!r} leads out of the bundle")
        yield member, name


def _copy(source: IO[bytes], target: IO[bytes], member: tarfile.TarInfo) -> None:
    copied = 0
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        copied += len(chunk)
    if copied != member.size:
        raise BundleError(f"the archive's entry {member.name!r} is cut off")


def _top(folder: Path) -> Path:
    if (folder / MANIFEST).is_file():
        return folder
    inside = list(folder.iterdir())
    if len(inside) == 1 and (inside[0] / MANIFEST).is_file():
        return inside[0]
    raise BundleError(f"the archive has no {MANIFEST}, at its top or in its one folder")
