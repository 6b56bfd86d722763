"""One training run: how a network learns from a step of the plan, and is validated."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from polyhead_training.augment import augment
from polyhead_training.batches import (
    NO_TARGET,
    collate,
    output_ids,
    samples,
    soft_rows,
    source_of,
)
from polyhead_training.consistency import disagreement
from polyhead_training.data.replacements import Replacements
from polyhead_training.loop import Loop, StepWatcher
from polyhead_training.network import head_spec
from polyhead_training.objective import cross_entropy, distillation, source_outcomes
from polyhead_training.optimiser import set_rates
from polyhead_training.unfreezing import Unfreezing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from polyhead_server.encoding import DocumentEncoder, Source
    from polyhead_training.batches import Sample
    from polyhead_training.config import Config
    from polyhead_training.data import Example
    from polyhead_training.distributed import Portion
    from polyhead_training.evaluation import Measure
    from polyhead_training.loop import Hardware, RunPlace
    from polyhead_training.network import MultiTaskNetwork
    from polyhead_training.plan import Item, Step
    from polyhead_training.soft_targets import SoftTargets


_PROCESS_SEED = 2_654_435_761
"""Sets the dropout of processes apart; torch seeds itself with the lower 32 bits."""


class Watcher(StepWatcher, Protocol):
    """Is told how a run goes."""

    def taught(self, source: str, done: int, total: int) -> None:
        """Teachers have answered to ``done`` of the ``total`` texts of a source."""

    def validated(
        self, step: int, measures: Sequence[Measure], score: float, *, best: bool
    ) -> None:
        """A validation was done."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learned, and in which order."""

    train: Sequence[Sequence[Example]]
    """Training examples of each source of the configuration."""
    plan: Sequence[Step]
    soft: Sequence[SoftTargets | None] = ()
    """Teachers' answers to the examples of each source; empty without teachers."""
    replacements: Sequence[Replacements] = ()
    """What augmentation may put in place of words, for each source; empty without any."""


class TrainingRun(Loop):
    """Trains a network along a plan; may be killed and made anew at any point.

    Args:
        config: the configuration.
        network: on the hardware's device.
        encoder: cuts texts into windows.
        lessons: examples and steps.
        validate: measures the network; called with averaged weights in place.
        hardware: device and precision.
        place: where checkpoints and the best weights go.
        watcher: is told of progress.
    """

    def __init__(
        self,
        config: Config,
        network: MultiTaskNetwork,
        encoder: DocumentEncoder,
        *,
        lessons: Lessons,
        validate: Callable[[], Sequence[Measure]],
        hardware: Hardware,
        place: RunPlace,
        watcher: Watcher,
    ) -> None:
        super().__init__(
            network,
            lessons.plan,
            config.training,
            hardware=hardware,
            place=place,
            watcher=watcher,
        )
        self._config = config
        self._network = network
        self._encoder = encoder
        self._train = lessons.train
        self._soft = lessons.soft or [None] * len(lessons.train)
        self._known = lessons.replacements or [Replacements()] * len(lessons.train)
        self._validate = validate
        self._watcher = watcher
        self._unfreezing = Unfreezing(network, config)
        self._average = {name: value.clone() for name, value in network.state_dict().items()}
        self._specs = {head.name: head_spec(head) for head in config.heads}
        self._outcomes = [source_outcomes(self._specs[s.head], s) for s in config.sources]

    def _learn_from(self, number: int) -> tuple[float, int]:
        step = self._plan[number]
        own = self._hardware.team.rank * _PROCESS_SEED
        torch.manual_seed(self._config.seed * 1_000_003 + number + own)  # dropout of this step
        batch = self._samples(step, random.Random(f"{self._config.seed}/{number}"))
        portion = self._portion(batch)
        self._unfreezing.reach(number / len(self._plan))
        set_rates(self._optimiser, self._options, (number + 0.5) / len(self._plan))
        loss = self._learn(step, batch, portion)
        self._update_average(number)
        return loss, portion.tokens

    def _portion(self, batch: Sequence[Sample]) -> Portion:
        """What part of the step's batch this process learns from."""
        targets = [target for sample in batch for target in sample.targets]
        counted = sum(target != NO_TARGET for target in targets)
        tokens = sum(len(sample.window.ids) for sample in batch)
        return self._hardware.team.portion(counted, len(targets), tokens)

    def _samples(self, step: Step, rng: random.Random) -> list[Sample]:
        """This process's part of a batch; everything random is drawn for the whole of it."""
        source = self._config.sources[step.source]
        ids = {**output_ids(self._specs[source.head]), "": NO_TARGET}
        soft = self._soft[step.source]
        own = self._hardware.team.part([item.length for item in step.items])
        found: list[Sample] = []
        for number, item in enumerate(step.items):
            text, target = self._read(step.source, item)
            tags = None if isinstance(target, str) else target
            changed = augment(text, source.augment, rng, tags, self._known[step.source])
            if number not in own:
                continue
            document = self._encoder.encode(changed)
            found += samples(document, target, ids, soft.of(item.examples) if soft else None)
        return found

    def _read(self, source: int, item: Item) -> tuple[Source, str | tuple[str, ...]]:
        examples = [self._train[source][index] for index in item.examples]
        if len(examples) == 1:
            return source_of(examples[0]), examples[0].target
        words = tuple(word for example in examples for word in example.words or ())
        return words, tuple(tag for example in examples for tag in example.target)

    def _learn(self, step: Step, batch: Sequence[Sample], portion: Portion) -> float:
        team = self._hardware.team
        self._network.train()
        loss = self._backward(step, batch, portion) if batch else 0.0
        team.add_gradients(self._network.parameters())
        most = self._options.max_grad_norm
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), most)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return team.add([loss])[0]

    def _backward(self, step: Step, batch: Sequence[Sample], portion: Portion) -> float:
        """Take the gradients of this process's part of a batch; returns its part of the loss."""
        source = self._config.sources[step.source]
        consistency = self._options.consistency
        inputs, targets = collate(batch, self._hardware.device)
        with torch.autocast(
            self._hardware.device.type, torch.bfloat16, enabled=self._hardware.bf16
        ):
            logits = self._network(inputs, source.head)
            again = self._network(inputs, source.head) if consistency else None
        soft = soft_rows(batch, self._hardware.device)
        loss = self._loss(step, logits, targets, soft, portion)
        if again is not None:
            loss = (loss + self._loss(step, again, targets, soft, portion)) / 2
            loss = loss + consistency * portion.rows * disagreement(logits, again)
        weight = self._config.head(source.head).weight
        torch.autograd.backward(loss * weight)
        return float(loss.detach())

    def _loss(
        self, step: Step, logits: Tensor, targets: Tensor, soft: Tensor | None, portion: Portion
    ) -> Tensor:
        """The labels' loss, mixed with the teachers' where there are any.

        Means over a process's part count by its portion of the batch, so that the processes' sum
        is the mean over the whole.
        """
        share = self._config.distillation.weight if soft is not None else 0.0
        if self._config.sources[step.source].unlabelled:
            share = 1.0
        parts = []
        if share < 1 and portion.targets:
            smoothing = self._options.label_smoothing
            outcomes = self._outcomes[step.source]
            mean = cross_entropy(logits, targets, outcomes, smoothing)
            parts.append((1 - share) * portion.targets * mean)
        if soft is not None and share:
            temperature = self._config.distillation.temperature
            parts.append(share * portion.rows * distillation(logits, soft, temperature))
        if not parts:  # a part without targets
            return logits.float().sum() * 0.0
        return torch.stack(parts).sum()

    @torch.no_grad()
    def _update_average(self, number: int) -> None:
        decay = self._options.average
        if not decay:
            return
        keep = min(decay, (number + 1) / (number + 10))  # a short memory while it is young
        state = self._network.state_dict()
        own = [value for value in self._average.values() if value.is_floating_point()]
        new = [state[n] for n, v in self._average.items() if v.is_floating_point()]
        torch._foreach_lerp_(own, new, 1 - keep)

    def _measure(self) -> None:
        """Let the leader validate, and all know what came of it."""
        team = self._hardware.team
        team.check_weights(self._network.state_dict())
        if team.leads:
            self._validation()
        self.progress = team.share(self.progress)

    def _validation(self) -> None:
        current = {name: value.clone() for name, value in self._network.state_dict().items()}
        chosen = self._average if self._options.average else current
        self._network.load_state_dict(chosen)
        measures = self._validate()
        selected = [m.value for m in measures if m.select]
        score = sum(selected) / max(1, len(selected))
        best = not selected or score > self.progress.best_score  # unmeasured, the last are taken
        self._keep(chosen, score, best=best)
        self._network.load_state_dict(current)
        self._record(score=score, best=best, figures=[asdict(measure) for measure in measures])
        self._watcher.validated(self.progress.step, measures, score, best=best)
