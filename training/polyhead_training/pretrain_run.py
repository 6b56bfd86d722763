"""One pre-training run: how a language model learns from a step, and is measured on held texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from polyhead_training.config_types import SourceConfig
from polyhead_training.loop import Loop, StepWatcher
from polyhead_training.optimiser import set_rates
from polyhead_training.passages import held_batches, held_seed, make_batch
from polyhead_training.plan import Course, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import IntArray
    from polyhead_training.language_model import LanguageModel
    from polyhead_training.loop import Hardware, RunPlace
    from polyhead_training.passages import Corpus, Marks
    from polyhead_training.plan import Step
    from polyhead_training.pretrain_config import PretrainConfig

_MOST_LOSS = 50.0  # above, a perplexity says nothing and overflows


class PretrainWatcher(StepWatcher, Protocol):
    """Is told how a run goes."""

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


class PretrainRun(Loop):
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
        super().__init__(
            model,
            make_pretrain_plan(config, corpus),
            config.training,
            hardware=hardware,
            place=place,
            watcher=watcher,
        )
        self._config = config
        self._model = model
        self._train = [corpus.train[texts.name] for texts in config.texts]
        self._held = held_batches(corpus.held, config.training.batch_tokens)
        self._marks = marks
        self._watcher = watcher

    def train(self) -> None:
        """Measure the model as it is, then take all steps that are left."""
        if not self.progress.history:
            self._measure()
        super().train()

    def _learn_from(self, number: int) -> tuple[float, int]:
        step = self._plan[number]
        seed = self._config.seed * 1_000_003 + number
        torch.manual_seed(seed)  # dropout of this step
        passages = [self._train[step.source][item.examples[0]] for item in step.items]
        set_rates(self._optimiser, self._options, (number + 0.5) / len(self._plan))
        self._model.train()
        loss = self._loss(passages, seed)[0]
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._options.max_grad_norm)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(loss.detach()), sum(map(len, passages))

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
        self._keep(dict(self._model.state_dict()), score, best=best)
        self._record(held_out_loss=loss, perplexity=perplexity(loss))
        self._watcher.held_out(self.progress.step, loss, best=best)
