"""Short runs of the ways of transfer: configs, and a run that is stopped and taken up again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from toy_data import SOURCES, toy_config

from polyhead_training.checkpoint import BEST, CHECKPOINT
from polyhead_training.fit import train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from polyhead_training.evaluation import Measure
    from polyhead_training.network import MultiTaskNetwork
    from polyhead_training.workshop import Workshop

QUICK = SOURCES.replace("passes", "max_examples = 16\npasses")
"""The toy sources with few examples each."""


def mode_config(
    modes: Mapping[str, object] | None = None, sources: str = QUICK, **training: object
) -> str:
    """The text of a config with further keys of the encoder and of training."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in (modes or {}).items()]
    options: dict[str, Any] = {"validations": 1, **training}
    return toy_config(sources=sources, **options).replace(
        "[encoder]", "\n".join(["[encoder]", *lines])
    )


class Quiet:
    """Watches a run and says nothing; notes which parameters learn at each step."""

    def __init__(self, network: MultiTaskNetwork | None = None, stop: int = -1) -> None:
        self.learning: list[set[str]] = []
        self.steps: list[int] = []
        self.total = 0
        self._network = network
        self._stop = stop

    def step(self, done: int, total: int, loss: float, tokens: int) -> None:
        self.steps.append(done)
        self.total = total
        if self._network is not None:
            own = self._network.named_parameters()
            self.learning.append({name for name, value in own if value.requires_grad})
        if done == self._stop:
            raise Stopped

    def taught(self, source: str, done: int, total: int) -> None:
        """Nobody teaches here."""

    def validated(
        self, step: int, measures: Sequence[Measure], score: float, *, best: bool
    ) -> None:
        """The history says it."""


class Stopped(Exception):  # noqa: N818 - no error
    """Stands for a kill between two steps."""


def check_resume(open_shop: Callable[[str], Workshop], text: str, folder: Path) -> int:
    """Stop a run twice, take it up again, and compare with a whole one; returns its steps."""
    whole = train(open_shop(text), folder / "whole", Quiet())
    for at in (2, whole.progress.step // 2):
        with pytest.raises(Stopped):
            train(open_shop(text), folder / "parts", Quiet(stop=at))
    log = Quiet()
    train(open_shop(text), folder / "parts", log)
    assert log.steps[0] == whole.progress.step // 2  # the step stopped in had not been saved
    for name in (BEST, CHECKPOINT):
        ours, theirs = (load_file(folder / part / name) for part in ("parts", "whole"))
        assert same(ours, theirs)
    return whole.progress.step


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Whether two sets of tensors are the same to the bit."""
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in ours.items()
    )


def copied(network: torch.nn.Module) -> dict[str, Tensor]:
    """The weights as they are now."""
    return {name: value.clone() for name, value in network.state_dict().items()}
