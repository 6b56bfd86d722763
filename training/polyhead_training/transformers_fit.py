"""Fits a standard transformers model to a trained network by a short distillation.

The network answers, as a teacher, to the training texts; the standard model, which starts from the
network's own weights, learns its distributions on raw text as its pipeline will read it.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polyhead_training.config_types import DistillationConfig
from polyhead_training.objective import distillation
from polyhead_training.soft_targets import Teacher, teach
from polyhead_training.transformers_texts import raw_text, word_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from polyhead_training.config import SourceConfig
    from polyhead_training.data import Example
    from polyhead_training.transformers_texts import Reader
    from polyhead_training.workshop import Workshop

_BATCH = 16
_BUCKET = 50
"""Batches whose texts are sorted by length together."""
_TEMPERATURE = 2.0
_WARMUP = 0.1


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How long and how fast a model is fitted."""

    epochs: int = 3
    """Times that it goes through the texts."""
    most_texts: int = 20_000
    """Training texts taken, drawn at random; 0 for all."""
    learning_rate: float = 5e-5
    """Peak rate of the encoder; the head's is ten times as high."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text and what the teacher says to it."""

    example: Example
    soft: npt.NDArray[np.float32]
    """Log-probabilities for the text, [1, O], or for each word, [W, O]."""


def lessons(
    shop: Workshop,
    taught: Sequence[tuple[SourceConfig, Sequence[Example]]],
    options: FitOptions,
    progress: Callable[[str, int, int], None],
) -> list[Lesson]:
    """Let the network answer to training texts.

    Args:
        shop: the trained network.
        taught: sources of one head with the examples to take.
        options: how many texts to take.
        progress: told the source, the examples done and their number.
    """
    chosen = [(source, _drawn(shop, part, len(taught), options)) for source, part in taught]
    # What the run itself was to learn from its teachers does not say what it may teach.
    asked = tuple(replace(source, soft_targets=True) for source, _ in chosen)
    config = replace(shop.config, sources=asked, distillation=DistillationConfig())
    teacher = Teacher(shop, shop.assets.encoder(), "")
    shop.network.eval()
    with tempfile.TemporaryDirectory() as folder:
        parts = [part for _, part in chosen]
        answers = teach(config, parts, [teacher], Path(folder), progress)
    return [
        Lesson(example, soft.of([number]))
        for soft, part in zip(answers, parts, strict=True)
        if soft is not None
        for number, example in enumerate(part)
    ]


def _drawn(
    shop: Workshop, examples: Sequence[Example], sources: int, options: FitOptions
) -> Sequence[Example]:
    most = options.most_texts // sources
    if not options.most_texts or len(examples) <= most:
        return examples
    return random.Random(shop.config.seed).sample(examples, most)


def fit_model(
    model: Any,
    reader: Reader,
    given: Sequence[Lesson],
    options: FitOptions,
    *,
    seed: int,
    progress: Callable[[int, int, float], None],
) -> None:
    """Fit a model, in place.

    Args:
        model: of a standard class.
        reader: with its tokenizer.
        given: texts with the teacher's answers.
        options: how long and how fast.
        seed: of the order.
        progress: told the steps done, their number and the loss.
    """
    rng = random.Random(seed)
    plan = [batch for _ in range(options.epochs) for batch in _batches(given, rng)]
    optimiser = torch.optim.AdamW(_groups(model, options), weight_decay=0.01)
    rates = [group["lr"] for group in optimiser.param_groups]
    model.eval()  # without dropout: the teacher's answers are to be met, not generalised from
    for step, batch in enumerate(plan):
        done = (step + 0.5) / len(plan)
        factor = min(done / _WARMUP, 1.0) if done < _WARMUP else (1 - done) / (1 - _WARMUP)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        loss = _loss(model, reader, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        progress(step + 1, len(plan), float(loss.detach()))


def _batches(given: Sequence[Lesson], rng: random.Random) -> list[list[Lesson]]:
    """One epoch: batches of texts of like length, in an order of chance."""
    order = rng.sample(given, len(given))
    found: list[list[Lesson]] = []
    for start in range(0, len(order), _BATCH * _BUCKET):
        part = sorted(order[start : start + _BATCH * _BUCKET], key=_length)
        found += [part[i : i + _BATCH] for i in range(0, len(part), _BATCH)]
    rng.shuffle(found)
    return found


def _length(lesson: Lesson) -> int:
    return len(raw_text(lesson.example))


def _groups(model: Any, options: FitOptions) -> list[dict[str, Any]]:
    base = f"{model.base_model_prefix}."
    named = list(model.named_parameters())
    body = [p for name, p in named if name.startswith(base) and "pooler" not in name]
    head = [p for name, p in named if not name.startswith(base) or "pooler" in name]
    rate = options.learning_rate
    return [{"params": body, "lr": rate}, {"params": head, "lr": 10 * rate}]


def _loss(model: Any, reader: Reader, batch: Sequence[Lesson]) -> Tensor:
    encoded = reader.batch([raw_text(lesson.example) for lesson in batch])
    device = model.device
    logits = model(**{name: value.to(device) for name, value in encoded.items()}).logits
    if logits.ndim == 2:  # noqa: PLR2004 - [B, O]
        soft = np.concatenate([lesson.soft for lesson in batch])
        return distillation(logits, torch.from_numpy(soft).to(device), _TEMPERATURE)
    rows, columns, parts = [], [], []
    for row, lesson in enumerate(batch):
        for word, span in enumerate(word_spans(lesson.example)):
            place = reader.place(encoded, row, span)
            if place is not None:
                rows.append(row)
                columns.append(place)
                parts.append(lesson.soft[word])
    soft = np.stack(parts) if parts else np.zeros((0, logits.shape[-1]), np.float32)
    if not len(soft):
        nothing: Tensor = logits.sum() * 0.0
        return nothing
    return distillation(logits[rows, columns], torch.from_numpy(soft).to(device), _TEMPERATURE)
