"""Trains a network in a run directory that can be left and taken up again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from polyhead_training.batches import source_of
from polyhead_training.checkpoint import claim, clear_run, sole_use
from polyhead_training.data.replacements import Replacements
from polyhead_training.errors import TrainingError
from polyhead_training.loop import RunPlace
from polyhead_training.plan import Course, make_plan
from polyhead_training.run import Lessons, TrainingRun
from polyhead_training.sampling import Sampling
from polyhead_training.soft_targets import FOLDER as SOFT_FOLDER
from polyhead_training.soft_targets import teach
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import ENCODER_FOLDER, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.encoding import Document
    from polyhead_training.data import Example
    from polyhead_training.plan import Step
    from polyhead_training.run import Watcher
    from polyhead_training.soft_targets import Teacher
    from polyhead_training.workshop import Workshop


def train(
    shop: Workshop, folder: Path, watcher: Watcher, teachers: Sequence[Teacher] = ()
) -> TrainingRun:
    """Train, or go on training, in a run folder.

    Args:
        shop: configuration, data and network.
        folder: the run directory.
        watcher: is told of progress.
        teachers: trained runs whose answers are learned beside the labels.

    Raises:
        TrainingError: the folder holds a run of another configuration, data or encoder, another
            process trains there, or a source has neither labels nor a teacher.
    """
    team = shop.hardware.team
    with contextlib.ExitStack() as held:
        with team.agreed():
            mark = fingerprint(shop, teachers)
            if team.leads:
                held.enter_context(sole_use(folder))
            begun = claim(folder, mark, "configuration, data or encoder")
            if team.leads:
                shop.keep(folder)
        team.check_same((mark, begun), "configurations, data, weights or run directories")
        return _train(shop, RunPlace(folder, mark), watcher, teachers, begun=begun)


def _train(
    shop: Workshop, place: RunPlace, watcher: Watcher, teachers: Sequence[Teacher], *, begun: bool
) -> TrainingRun:
    team = shop.hardware.team
    examples = [shop.data[source.name].train for source in shop.config.sources]
    soft = team.in_turn(
        lambda: teach(shop.config, examples, teachers, place.folder, watcher.taught)
    )
    plan = _plan(shop)
    if not plan:
        raise TrainingError(f"{shop.config.path}: there is nothing to train on")
    run = TrainingRun(
        shop.config,
        shop.network,
        shop.assets.encoder(),
        lessons=Lessons(examples, plan, soft, _replacements(shop)),
        validate=lambda: measure(shop.model(), shop.config, shop.data, "dev", raw=False),
        hardware=shop.hardware,
        place=place,
        watcher=watcher,
    )
    if begun:
        run.resume()
    run.train()
    return run


def _replacements(shop: Workshop) -> list[Replacements]:
    return [shop.data[source.name].replacements for source in shop.config.sources]


def _plan(shop: Workshop) -> list[Step]:
    encoder = shop.assets.encoder()
    marks = len(shop.assets.spec.prefix) + len(shop.assets.spec.suffix)
    courses = []
    for source in shop.config.sources:
        examples = shop.data[source.name].train
        lengths = [_read_tokens(encoder.encode(source_of(e)), e, marks) for e in examples]
        courses.append(Course(source, [example.group for example in examples], lengths))
    options = shop.config.training
    sampling = Sampling(options.sampling, options.sampling_temperature)
    return make_plan(courses, options.batch_tokens, shop.config.seed, sampling)


def _read_tokens(document: Document, example: Example, marks: int) -> int:
    """Sub-words that are learned from: where a text has one label, those of its first window."""
    if isinstance(example.target, str) and len(document.windows) > 1:
        return len(document.windows[0].ids) - marks
    return document.tokens


def fingerprint(shop: Workshop, teachers: Sequence[Teacher] = ()) -> str:
    """Names what decides a run's result: configuration, data, weights and teachers."""
    digest = hashlib.sha256(shop.config.path.read_bytes())
    for name, source in sorted(shop.data.items()):
        digest.update(name.encode())
        for example in (*source.train, *source.dev):
            known = (example.text, example.words, example.target, example.group)
            digest.update(repr(known).encode())
        if source.replacements != Replacements():
            digest.update(repr(source.replacements).encode())
    digest.update(shop.assets.tokenizer_json.encode())
    digest.update(json.dumps(shop.assets.lexicon, sort_keys=True).encode())
    for value in shop.network.state_dict().values():
        digest.update(value.detach().float().cpu().numpy().tobytes())
    for teacher in teachers:
        digest.update(teacher.mark.encode())
    return digest.hexdigest()


def discard(folder: Path) -> None:
    """Remove what a run left in its folder, and nothing else that may lie there.

    Raises:
        TrainingError: another process trains there.
    """
    clear_run(folder, (CONFIG_COPY, ENCODER_FOLDER, SOFT_FOLDER))
