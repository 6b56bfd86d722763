"""Soft targets: what trained teachers answer to every training example.

A student that learns a teacher's whole distributions (distillation: Hinton, Vinyals and Dean 2015)
learns more from each example than its label says, and can learn from texts that have no labels.
The answers are computed once, before training, and kept in the run directory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from polyhead_training.batches import NO_TARGET, collate, samples, source_of
from polyhead_training.checkpoint import BEST
from polyhead_training.config import load_config
from polyhead_training.cutting import padded
from polyhead_training.errors import TrainingError
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import reopen_workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from polyhead_server.encoding import DocumentEncoder
    from polyhead_training.batches import Sample
    from polyhead_training.config import Config, HeadConfig, SourceConfig
    from polyhead_training.data import Example
    from polyhead_training.workshop import Workshop

FOLDER = "soft"
"""Part of a run directory with the teachers' answers."""

_BATCH_TOKENS = 2048
_LEAST = 1e-6
"""Probabilities below are taken as this one."""


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """Teachers' answers to the training examples of one source."""

    log_probabilities: npt.NDArray[np.float16]
    """[R, O]: a row for a text, or for every word of a sentence."""
    starts: npt.NDArray[np.int64]
    """First row of every example, and the number of rows; [E + 1]."""

    def of(self, examples: Sequence[int]) -> npt.NDArray[np.float32]:
        """The rows of examples, one behind the other."""
        parts = [self.log_probabilities[self.starts[i] : self.starts[i + 1]] for i in examples]
        return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained run that answers for a student."""

    shop: Workshop
    encoder: DocumentEncoder
    mark: str
    """Names its weights."""

    def knows(self, head: HeadConfig) -> bool:
        """Whether it has a head of the same name, kind and labels."""
        return any(
            (own.name, own.kind, own.labels) == (head.name, head.kind, head.labels)
            for own in self.shop.config.heads
        )


def open_teachers(folders: Sequence[Path]) -> list[Teacher]:
    """Take the best weights of earlier runs as teachers.

    Raises:
        TrainingError: a folder is not a run directory with weights.
    """
    return [_open(folder) for folder in folders]


def _open(folder: Path) -> Teacher:
    if not (folder / CONFIG_COPY).exists() or not (folder / BEST).exists():
        raise TrainingError(f"{folder} holds no weights of a run to learn from")
    threads = torch.get_num_threads()
    shop = reopen_workshop(load_config(folder / CONFIG_COPY), {}, folder)
    torch.set_num_threads(threads)  # the student's, not those that the teacher was trained with
    shop.network.eval()
    with (folder / BEST).open("rb") as file:
        mark = hashlib.file_digest(file, "sha256").hexdigest()
    return Teacher(shop, shop.assets.encoder(), mark)


def teach(
    config: Config,
    train: Sequence[Sequence[Example]],
    teachers: Sequence[Teacher],
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> list[SoftTargets | None]:
    """Ask the teachers about the training examples of every source.

    Args:
        config: the student's configuration.
        train: the training examples of each source.
        teachers: those that know a source's head answer, and their probabilities are averaged.
        folder: the student's run directory, which keeps the answers.
        progress: told the source, the examples done and their number.

    Returns:
        For each source the answers; None where no teacher knows its head.

    Raises:
        TrainingError: a source without labels has no teacher.
    """
    found: list[SoftTargets | None] = []
    for source, examples in zip(config.sources, train, strict=True):
        able = _able(config, source, teachers)
        if source.unlabelled and not able:
            raise TrainingError(
                f'source "{source.name}" has no labels, and no teacher knows head "{source.head}": '
                "give a run that does by --teacher"
            )
        wanted = bool(able and examples)
        found.append(_answers(source, examples, able, folder, progress) if wanted else None)
    return found


def _able(config: Config, source: SourceConfig, teachers: Sequence[Teacher]) -> list[Teacher]:
    chosen = config.distillation.heads
    if not source.soft_targets or (chosen and source.head not in chosen):
        return []
    return [teacher for teacher in teachers if teacher.knows(config.head(source.head))]


def _answers(
    source: SourceConfig,
    examples: Sequence[Example],
    teachers: Sequence[Teacher],
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> SoftTargets:
    file = folder / FOLDER / f"{source.name}.safetensors"
    mark = _mark(source, examples, teachers)
    kept = _read(file, mark)
    if kept is None:
        kept = _ask(source, examples, teachers, progress)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(file.name + ".new")
        tensors: dict[str, npt.NDArray[Any]] = {
            "log_probabilities": kept.log_probabilities,
            "starts": kept.starts,
        }
        try:
            save_file(tensors, fresh, metadata={"mark": mark})
        except SafetensorError as error:
            fresh.unlink(missing_ok=True)
            raise TrainingError(f"{file} cannot be written: {error}") from error
        fresh.replace(file)
    return kept


def _mark(source: SourceConfig, examples: Sequence[Example], teachers: Sequence[Teacher]) -> str:
    digest = hashlib.sha256(source.head.encode())
    for teacher in teachers:
        digest.update(teacher.mark.encode())
    for example in examples:
        digest.update(repr((example.text, example.words)).encode())
    return digest.hexdigest()


def _read(file: Path, mark: str) -> SoftTargets | None:
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="numpy") as opened:
            if (opened.metadata() or {}).get("mark") != mark:
                return None
            return SoftTargets(opened.get_tensor("log_probabilities"), opened.get_tensor("starts"))
    except SafetensorError:
        return None


def _ask(
    source: SourceConfig,
    examples: Sequence[Example],
    teachers: Sequence[Teacher],
    progress: Callable[[str, int, int], None],
) -> SoftTargets:
    rows: list[npt.NDArray[np.float32]] = []
    for number, teacher in enumerate(teachers, 1):
        said = f"{source.name} (teacher {number} of {len(teachers)})"
        answers = _ask_one(teacher, source.head, examples, partial(progress, said))
        share = [answer / np.float32(len(teachers)) for answer in answers]
        rows = [a + b for a, b in zip(rows, share, strict=True)] if rows else share
    logs = np.log(np.maximum(np.concatenate(rows), _LEAST)).astype(np.float16)
    return SoftTargets(logs, np.cumsum([0, *(len(row) for row in rows)]))


def _ask_one(
    teacher: Teacher, head: str, examples: Sequence[Example], progress: Callable[[int, int], None]
) -> list[npt.NDArray[np.float32]]:
    """Probabilities of each example, [rows, O]."""
    jobs: list[Sample] = []
    ends: list[int] = []
    for example in examples:
        source = source_of(example)
        # One for each row: words may have one label together.
        unknown = "" if isinstance(example.target, str) else ("",) * len(source)
        jobs += samples(teacher.encoder.encode(source), unknown, {"": NO_TARGET})
        ends.append(len(jobs))
    answers = _answers_in_order(teacher, head, jobs, progress)
    starts = [0, *ends[:-1]]
    return [np.concatenate(answers[a:b]) for a, b in zip(starts, ends, strict=True)]


def _answers_in_order(
    teacher: Teacher, head: str, jobs: Sequence[Sample], progress: Callable[[int, int], None]
) -> list[npt.NDArray[np.float32]]:
    """Run windows of like length together."""
    answers: list[npt.NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(jobs)
    order = sorted(range(len(jobs)), key=lambda place: len(jobs[place].window.ids))
    done = 0
    for part in padded(order, lambda place: len(jobs[place].window.ids), _BATCH_TOKENS):
        found = _probabilities(teacher, head, [jobs[place] for place in part])
        for place, answer in zip(part, found, strict=True):
            answers[place] = answer
        done += len(part)
        progress(done, len(order))
    return answers


@torch.inference_mode()
def _probabilities(
    teacher: Teacher, head: str, batch: Sequence[Sample]
) -> list[npt.NDArray[np.float32]]:
    hardware = teacher.shop.hardware
    inputs, _ = collate(batch, hardware.device)
    with torch.autocast(hardware.device.type, torch.bfloat16, enabled=hardware.bf16):
        logits = teacher.shop.network(inputs, head)
    rows = torch.softmax(logits.float(), dim=1).cpu().numpy()
    ends = np.cumsum([len(sample.targets) for sample in batch])
    return np.split(rows, ends[:-1])
