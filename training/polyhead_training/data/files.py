"""Opens data files, plain or gzip, and streams their lines."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar, cast

from polyhead_training.problems import Problems

_T = TypeVar("_T")
HOLDS_CR = "holds a carriage return: lines end with LF or CRLF, not with CR alone"
_BOM = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file under reading, and where its problems go."""

    path: Path
    """The file itself."""
    name: str
    """The file as it is shown in problems and origins."""
    problems: Problems
    """Receives what is wrong with it."""

    def problem(self, line: int, message: str) -> None:
        """Note a problem at a line of the file, from 1."""
        self.problems.add(self.name, line, message)

    def origin(self, line: int) -> str:
        """Name of a line of the file, from 1."""
        return f"{self.name}:{line}"

    def lines(self, *, quoted: bool = False) -> Iterator[tuple[int, str]]:
        """Each line with its number from 1, without its end; lines that are not UTF-8 are noted.

        So are lines that hold a CR, unless those that are `quoted` may: a file whose lines end with
        CR alone would be one line. A damaged gzip file is noted where reading stops.

        Raises:
            OSError: it cannot be opened.
        """
        number = 0
        with self._open() as stream:
            try:
                for number, raw in enumerate(stream, 1):
                    if number == 1 and raw.startswith(_UTF16_MARKS):
                        self.problem(1, "is UTF-16: save it as UTF-8")
                        return
                    text = self._decode(number, raw)
                    if text is not None and "\r" in text and not quoted:
                        self.problem(number, HOLDS_CR)
                    elif text is not None:
                        yield number, text
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self.problem(number + 1, f"is not a whole gzip file: {error}")

    def _open(self) -> IO[bytes]:
        if self.path.suffix == ".gz":
            return cast("IO[bytes]", gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def _decode(self, number: int, raw: bytes) -> str | None:
        if number == 1:
            raw = raw.removeprefix(_BOM)
        if b"\0" in raw:
            self.problem(number, "holds a NUL character: is the file UTF-8?")
            return None
        try:
            return raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            self.problem(number, f"is not valid UTF-8 at byte {error.start + 1} of the line")
            return None


def read_whole(file: DataFile, items: Iterable[_T], named: tuple[str, int]) -> list[_T]:
    """All that a reader yields from a file.

    Args:
        file: the file.
        items: the reader's items, not yet begun.
        named: the config and the line that name it: where a file that cannot be opened is noted.
    """
    try:
        return list(items)
    except OSError as error:
        message = f"{file.name} cannot be read: {error.strerror or error}"
        file.problems.add(*named, message)
        return []
