"""From the labels of a source to those of its head."""

from polyhead_training.config_types import HeadConfig, SourceConfig
from polyhead_training.data.bio import OUTSIDE, to_bio
from polyhead_training.data.files import DataFile
from polyhead_training.problems import did_you_mean


class LabelMap:
    """Renames and checks the labels of one source; problems are noted at the line given."""

    def __init__(self, source: SourceConfig, head: HeadConfig) -> None:
        self._map = dict(source.map)
        self._known = frozenset(source.among or head.labels)
        self._head = head
        self._spans = head.kind == "spans"
        self._unread = source.unlabelled

    def label(self, raw: str, file: DataFile, line: int) -> str | None:
        """The head's label; empty where the config drops it, None for an unknown one."""
        label = self._map.get(raw, raw)
        if label in self._known or (not label and raw in self._map):
            return label
        self._unknown(raw, file, line)
        return None

    def tags(self, raw: list[str], file: DataFile, lines: list[int]) -> tuple[str, ...] | None:
        """One head's tag for each raw tag, or None where one has a problem.

        Empty ones for a source without labels, whatever its file says.
        """
        if self._unread:
            return ("",) * len(raw)
        if self._spans:
            return self._span_tags(raw, file, lines)
        known = self._known
        tags = [self._map.get(tag, tag) for tag in raw]
        if all(tag in known for tag in tags):
            return tuple(tags)
        for tag, line in zip(raw, lines, strict=True):
            self.label(tag, file, line)
        return None

    def _span_tags(
        self, raw: list[str], file: DataFile, lines: list[int]
    ) -> tuple[str, ...] | None:
        tags: list[str] = []
        whole = True
        for tag, original, line in zip(to_bio(raw), raw, lines, strict=True):
            mapped = self._span_tag(tag, original, file, line)
            whole = whole and mapped is not None
            tags.append(mapped or OUTSIDE)
        return tuple(tags) if whole else None

    def _span_tag(self, tag: str | None, raw: str, file: DataFile, line: int) -> str | None:
        if tag is None:
            file.problem(line, f'"{raw}" is no span tag: write O, B-LABEL or I-LABEL')
            return None
        if tag == OUTSIDE:
            return tag
        label = self.label(tag[2:], file, line)
        return label if label is None else f"{tag[:2]}{label}" if label else OUTSIDE

    def _unknown(self, raw: str, file: DataFile, line: int) -> None:
        if raw in self._head.labels or self._map.get(raw) in self._head.labels:
            file.problem(line, f'label "{raw}" is not in the among of this source')
            return
        hint = did_you_mean(raw, [*self._known, *self._map])
        file.problem(line, f'unknown label "{raw}" for head "{self._head.name}"{hint}')
