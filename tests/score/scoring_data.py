"""Small inputs for offline scoring, and readers of what became of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from polyhead_server.score.fragments import find_files
from polyhead_server.score.order import Fields, Order
from polyhead_server.score.run import identity_and_tasks

ROWS = 60
BAD = {3: '{"id": 3, "text": ', 7: '{"id": 7, "text": 5}', 11: '{"id": 11, "text": "  "}'}
"""Bad lines by their index."""


def text(index: int) -> str:
    return f"the word {index} fans in {'the fans. ' * (index % 9)}"


def lines() -> list[str]:
    good = [json.dumps({"id": n, "text": text(n), "kept": [n, None]}) for n in range(ROWS)]
    return [BAD.get(n, line) for n, line in enumerate(good)]


def table() -> pa.Table:
    """Row 5 has no text; row groups and fragments begin at other rows."""
    texts = [None if n == 5 else text(n) for n in range(ROWS)]
    return pa.table({"id": pa.array(range(ROWS), pa.int16()), "text": texts})


def write_inputs(folder: Path) -> Path:
    """A file of each kind."""
    folder.mkdir()
    content = "\n".join(lines())
    (folder / "a.jsonl").write_text(content, encoding="utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(f"{content}\n".encode()))
    pq.write_table(table(), folder / "c.parquet", row_group_size=17)
    return folder


def order_for(bundle: Path, output: Path, **fields: object) -> Order:
    identity, tasks = identity_and_tasks(bundle, (), None)
    return Order(bundle, identity, tasks, output, Fields(**fields))


def files_of(folder: Path, output: Path) -> list[Path]:
    return find_files([folder], output)


def content(output: Path) -> dict[str, bytes]:
    """Every file that a user reads, by name; that of the errors, too."""
    files = [*output.glob("part-*"), output / "_errors.jsonl"]
    return {file.name: file.read_bytes() for file in files}


def ids(output: Path) -> dict[int, list[int]]:
    """The ids of the rows scored, by index of the input file, in the order of the parts."""
    found: dict[int, list[int]] = {}
    for part in sorted(output.glob("part-*")):
        found.setdefault(int(part.name.split("-")[1]), []).extend(row["id"] for row in rows(part))
    return found


def rows(part: Path) -> list[dict]:
    if part.suffix == ".parquet":
        return pq.read_table(part).to_pylist()
    raw = part.read_bytes()
    unpacked = gzip.decompress(raw) if part.suffix == ".gz" else raw
    return [json.loads(line) for line in unpacked.splitlines()]


def errors(output: Path) -> Counter[tuple[str, int]]:
    """How often each bad row is told, by file and row."""
    told = map(json.loads, (output / "_errors.jsonl").read_text(encoding="utf-8").splitlines())
    return Counter((Path(error["file"]).name, error["row"]) for error in told)


ALL_ERRORS = Counter(
    [(name, n + 1) for name in ("a.jsonl", "b.jsonl.gz") for n in BAD] + [("c.parquet", 6)]
)
ALL_IDS = {
    **{file: [n for n in range(ROWS) if n not in BAD] for file in (0, 1)},
    2: [n for n in range(ROWS) if n != 5],
}
