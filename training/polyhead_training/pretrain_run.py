"""One pre-training run: the steps, held-out measurements and checkpoints of a language model."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from polyhead_training.checkpoint import (
    BEST,
    HISTORY,
    Progress,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from polyhead_training.config_types import SourceConfig
from polyhead_training.optimiser import build_optimiser, set_rates
from polyhead_training.passages import held_batches, held_seed, make_batch
from polyhead_training.plan import Course, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import IntArray
    from polyhead_training.language_model import LanguageModel
    from polyhead_training.passages import Corpus, Marks
    from polyhead_training.plan import Step
    from polyhead_training.pretrain_config import PretrainConfig
    from polyhead_training.run import Hardware, RunPlace

_MOST_LOSS = 50.0  # above, a perplexity says nothing and overflows


class PretrainWatcher(Protocol):
    """Is told how a run goes."""

    def step(self, done: int, total: int, loss: float, tokens: int) -> None:
        """A step was done; ``loss`` is a running mean."""

    def held_out(self, step: int, loss: float, *, best: bool) -> None:
        """The held-out texts were measured."""


def perplexity(loss: float) -> float:
    """Of a mean loss in nats."""
    return math.exp(min(loss, _MOST_LOSS))


def make_pretrain_plan(config: PretrainConfig, corpus: Corpus) -> list[Step]:
    """All steps, fixed by the seed alone, as in fine-tuning."""
    courses = []
    for texts in config.texts:
        lengths = [len(passage) for passage in corpus.train[texts.name]]
        source = SourceConfig(texts.name, "", "text", passes=texts.passes)
        courses.append(Course(source, [""] * len(lengths), lengths))
    return make_plan(courses, config.training.batch_tokens, config.seed)


class PretrainRun:
    """Trains a language model along a plan; may be killed and made anew at any point.

    Args:
        config: the configuration.
        model: on the hardware's device.
        corpus: passages to learn from and to measure on.
        marks: the vocabulary's.
        hardware: device and precision.
        place: where checkpoints and the best weights go.
        watcher: is told of progress.
    """

    def __init__(
        self,
        config: PretrainConfig,
        model: LanguageModel,
        corpus: Corpus,
        marks: Marks,
        *,
        hardware: Hardware,
        place: RunPlace,
        watcher: PretrainWatcher,
    ) -> None:
        self._config = config
        self._model = model
        self._train = [corpus.train[texts.name] for texts in config.texts]
        self._held = held_batches(corpus.held, config.training.batch_tokens)
        self._plan = make_pretrain_plan(config, corpus)
        self._marks = marks
        self._hardware = hardware
        self._place = place
        self._watcher = watcher
        self._optimiser = build_optimiser(model, config.training)
        self.progress = Progress()

    def resume(self) -> None:
        """Go back to the last checkpoint."""
        self.progress, _ = load_checkpoint(self._place.folder, self._model, self._optimiser)

    def train(self) -> None:
        """Take all steps that are left, unless the held-out loss stops falling."""
        count = self._config.training.validations
        marks = {math.ceil(len(self._plan) * part / count) for part in range(1, count + 1)}
        if not self.progress.history:
            self._measure()
        saved = started = time.monotonic()
        before = self.progress.seconds
        while self.progress.step < len(self._plan) and not self._exhausted():
            self._step(self.progress.step)
            self.progress.step += 1
            self.progress.seconds = before + time.monotonic() - started
            if due := self.progress.step in marks:
                self._measure()
            if due or time.monotonic() - saved >= self._config.training.checkpoint_seconds:
                self._save()
                saved = time.monotonic()

    def _exhausted(self) -> bool:
        patience = self._config.training.patience
        return bool(patience) and self.progress.waited >= patience

    def _step(self, number: int) -> None:
        step = self._plan[number]
        seed = self._config.seed * 1_000_003 + number
        torch.manual_seed(seed)  # dropout of this step
        passages = [self._train[step.source][item.examples[0]] for item in step.items]
        options = self._config.training
        set_rates(self._optimiser, options, (number + 1) / len(self._plan))
        self._model.train()
        loss = self._loss(passages, seed)[0]
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), options.max_grad_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        before, now = self.progress.loss, float(loss.detach())
        self.progress.loss = 0.98 * before + 0.02 * now if before else now
        tokens = sum(map(len, passages))
        self._watcher.step(number + 1, len(self._plan), self.progress.loss, tokens)

    def _loss(self, passages: Sequence[IntArray], seed: int) -> tuple[torch.Tensor, int]:
        """Mean loss over what is foretold, and how much that is."""
        device = self._hardware.device
        batch = make_batch(passages, self._marks, seed, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._hardware.bf16):
            logits, targets = self._model(batch)
        return functional.cross_entropy(logits.float(), targets), len(targets)

    @torch.inference_mode()
    def _measure(self) -> None:
        """Measure on the held-out texts, and keep the weights if they are the best so far."""
        self._model.eval()
        found = [self._loss(part, held_seed(n)) for n, part in enumerate(self._held)]
        loss = sum(float(mean) * count for mean, count in found) / sum(c for _, c in found)
        score = math.exp(-loss)
        best = score > self.progress.best_score
        if best:
            save_weights(self._place.folder / BEST, dict(self._model.state_dict()))
            self.progress.best_score, self.progress.best_step = score, self.progress.step
        self.progress.waited = 0 if best else self.progress.waited + 1
        self._record(loss)
        self._watcher.held_out(self.progress.step, loss, best=best)

    def _record(self, loss: float) -> None:
        self.progress.history.append(
            {
                "step": self.progress.step,
                "seconds": round(self.progress.seconds, 1),
                "loss": round(self.progress.loss, 4),
                "held_out_loss": loss,
                "perplexity": perplexity(loss),
            }
        )
        lines = [json.dumps(item) + "\n" for item in self.progress.history]
        (self._place.folder / HISTORY).write_text("".join(lines), encoding="utf-8")

    def _save(self) -> None:
        save_checkpoint(
            self._place.folder,
            fingerprint=self._place.fingerprint,
            progress=replace(self.progress),
            weights=dict(self._model.state_dict()),
            average={},
            optimiser=self._optimiser,
        )
