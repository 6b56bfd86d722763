"""What the tests of several processes let each of them do; started by torchrun."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from polyhead_training.data import load_inputs
from polyhead_training.distributed import join_team
from polyhead_training.errors import TrainingError
from polyhead_training.fit import _plan, train
from polyhead_training.loop import RunPlace
from polyhead_training.progress import Reporter
from polyhead_training.run import Lessons, TrainingRun
from polyhead_training.workshop import open_workshop

if TYPE_CHECKING:
    from torch import Tensor

    from polyhead_training.workshop import Workshop


def chosen_steps(shop: Workshop) -> list[int]:
    """The smallest step of the plan, and the largest of every source."""
    plan = _plan(shop)
    sizes = {number: len(step.items) for number, step in enumerate(plan)}
    largest = {plan[n].source: n for n in sorted(sizes, key=lambda n: sizes[n])}
    return [min(sizes, key=lambda n: sizes[n]), *largest.values()]


def gradients(shop: Workshop, steps: list[int]) -> dict[str, Tensor]:
    """The gradients of single steps, as the optimiser gets them, and each step's loss."""
    examples = [shop.data[source.name].train for source in shop.config.sources]
    run = TrainingRun(
        shop.config,
        shop.network,
        shop.assets.encoder(),
        lessons=Lessons(examples, _plan(shop)),
        validate=list,
        hardware=shop.hardware,
        place=RunPlace(Path("nowhere"), ""),
        watcher=Reporter(),
    )
    found = {}
    for number in steps:
        found |= {f"{number}/{name}": value for name, value in one_step(run, shop, number).items()}
    return found


def one_step(run: TrainingRun, shop: Workshop, number: int) -> dict[str, Tensor]:
    """The gradients of one step."""
    step = run._plan[number]
    batch = run._samples(step, random.Random(f"{shop.config.seed}/{number}"))
    portion = run._portion(batch)
    shop.network.zero_grad()
    shop.network.train()
    if batch:
        run._backward(step, batch, portion)
    shop.hardware.team.add_gradients(shop.network.parameters())
    named = shop.network.named_parameters()
    return {name: value.grad.clone() for name, value in named if value.grad is not None}


def main(plain: Path, dropout: Path, data: Path, encoder: str, out: Path) -> None:
    """Write gradients and two whole runs; at last the second process fails."""
    with join_team(os.environ) as team:
        shop = open_workshop(plain, data, encoder, team)
        named = gradients(shop, chosen_steps(shop))
        save_file(named, out / f"gradients{team.rank}.safetensors")
        for name, config in (("plain", plain), ("dropout", dropout)):
            with Reporter() as reporter:
                train(open_workshop(config, data, encoder, team), out / name, reporter)
        with team.agreed():
            if not team.leads:
                load_inputs(plain, out / "nowhere")


if __name__ == "__main__":
    place = Path(sys.argv[5])
    try:
        main(*map(Path, sys.argv[1:4]), sys.argv[4], place)
    except TrainingError as problem:
        note = f"{type(problem).__name__}: {problem}"
        (place / f"note{os.environ['RANK']}").write_text(note, encoding="utf-8")
