"""Data sets of the Hugging Face hub by name, or from a directory of their files.

They are read by the `datasets` library, which the extra `hub` of this distribution installs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import RepositoryNotFoundError

from polyhead_training.data.files import DataFile
from polyhead_training.data.rows import row_example
from polyhead_training.problems import Problems, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from polyhead_training.config_types import HeadConfig, SourceConfig
    from polyhead_training.data.examples import Example
    from polyhead_training.data.labels import LabelMap

_PATIENCE = 10.0
"""Seconds that the hub has to answer."""


class HubError(Exception):
    """A data set cannot be had; its text says why, and what to do."""


def hub_reader(
    source: SourceConfig, head: HeadConfig, labels: LabelMap, root: Path, problems: Problems
) -> Callable[[str], list[Example]]:
    """Open a source's data set; returns what reads the examples of one of its splits.

    Problems of the data set as a whole are noted at the config's line of `hub`, those of a split at
    the line of its name, those of a row at ``NAME[SPLIT]:ROW``, rows counted from 1.
    """
    try:
        splits = _open(source, root)
    except HubError as error:
        problems.add(source.config, source.lines.get(source.hub, 1), str(error))
        return lambda _: []

    def read(split: str) -> list[Example]:
        line = source.lines.get(split, 1)
        if split not in splits:
            hint = did_you_mean(split, splits) or f": it has {', '.join(splits)}"
            message = f'hub data set "{source.hub}" has no split "{split}"{hint}'
            problems.add(source.config, line, message)
            return []
        missing = _missing_field(source, head, splits[split])
        if missing:
            problems.add(source.config, line, f'split "{split}" of "{source.hub}" {missing}')
            return []
        file = DataFile(Path(source.hub), f"{source.hub}[{split}]", problems)
        before = len(problems)
        found = list(_examples(file, splits[split], source, head, labels))
        if not found and len(problems) == before:
            problems.add(source.config, line, f'split "{split}" of "{source.hub}" has no examples')
        return found

    return read


def _open(source: SourceConfig, root: Path) -> Mapping[str, Any]:
    """The splits by name; raises HubError."""
    try:
        import datasets  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise HubError(
            'hub needs the package datasets: pip install "polyhead-training[hub]"'
        ) from None
    local = root / source.hub
    if not local.is_dir() and not HF_HUB_OFFLINE:
        _ask_hub(source)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(
            str(local) if local.is_dir() else source.hub,
            source.hub_config or None,
            revision=source.hub_revision or None,
        )
    except Exception as error:  # whatever a stranger's files make the library raise
        raise HubError(_failure(source, error)) from error
    return dict(found)


def _ask_hub(source: SourceConfig) -> None:
    """Ask once, with a limit: the library itself would try for most of a minute."""
    try:
        HfApi().dataset_info(source.hub, revision=source.hub_revision or None, timeout=_PATIENCE)
    except RepositoryNotFoundError:
        raise HubError(
            f'there is no data set "{source.hub}" on the hub, nor such a directory below the data '
            "directory (private ones need a login)"
        ) from None
    except (OSError, ValueError) as error:
        raise HubError(
            f'hub data set "{source.hub}" cannot be reached ({type(error).__name__}): to use a '
            "copy that was downloaded earlier, set HF_HUB_OFFLINE=1; or name a directory with its "
            "files, relative to the data directory"
        ) from None


def _failure(source: SourceConfig, error: Exception) -> str:
    if isinstance(error, ConnectionError):
        reason = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else "the hub cannot be reached"
        return f'hub data set "{source.hub}" is not on this machine, and {reason}'
    lines = str(error).strip().splitlines() or [""]
    return f'hub data set "{source.hub}" cannot be loaded ({type(error).__name__}): {lines[0]}'


def _missing_field(source: SourceConfig, head: HeadConfig, split: Any) -> str:
    tagged = head.kind != "classification"
    text = source.words or ("words" if tagged else source.text)
    for name in (text, source.tags if tagged else source.label):
        if name not in split.features:
            return f'has no field "{name}"{did_you_mean(name, split.features)}'
    return ""


def _examples(
    file: DataFile, split: Any, source: SourceConfig, head: HeadConfig, labels: LabelMap
) -> Iterator[Example]:
    wanted = (source.text, source.label, source.words or "words", source.tags)
    names = [name for name in dict.fromkeys(wanted) if name in split.features]
    decoders = {name: _decoder(split.features[name]) for name in names}
    tagged = head.kind != "classification"
    for number, row in enumerate(split.select_columns(names), 1):
        values = {name: decoders[name](value) for name, value in row.items()}
        example = row_example(file, number, values, source, labels, tagged=tagged)
        if example:
            yield example


def _decoder(feature: Any) -> Callable[[Any], Any]:
    """What turns a stored value into the one that people see: names in place of class numbers."""
    names = getattr(feature, "names", None)
    if names is not None:
        return lambda value: names[value] if isinstance(value, int) and value >= 0 else value
    if inner := getattr(feature, "feature", None):
        decode = _decoder(inner)
        return lambda value: [decode(item) for item in value] if value is not None else None
    return lambda value: value
