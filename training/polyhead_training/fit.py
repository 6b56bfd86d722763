"""Trains a network in a run directory that can be left and taken up again."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from polyhead_training.batches import source_of
from polyhead_training.checkpoint import BEST, CHECKPOINT, HISTORY, checkpoint_fingerprint
from polyhead_training.errors import TrainingError
from polyhead_training.plan import Course, make_plan
from polyhead_training.run import Lessons, RunPlace, TrainingRun
from polyhead_training.sampling import Sampling
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import ENCODER_FOLDER, measure

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.plan import Step
    from polyhead_training.run import Watcher
    from polyhead_training.workshop import Workshop


def train(shop: Workshop, folder: Path, watcher: Watcher) -> TrainingRun:
    """Train, or go on training, in a run folder.

    Raises:
        TrainingError: the folder holds a run of another configuration, data or encoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(shop)
    found = checkpoint_fingerprint(folder)
    if found not in {None, mark}:
        raise TrainingError(
            f"{folder} holds a run of another configuration, data or encoder: "
            "remove it, or start anew with --fresh"
        )
    shop.keep(folder)
    run = TrainingRun(
        shop.config,
        shop.network,
        shop.assets.encoder(),
        lessons=Lessons(
            [shop.data[source.name].train for source in shop.config.sources], _plan(shop)
        ),
        validate=lambda: measure(shop.model(), shop.config, shop.data, "dev", raw=False),
        hardware=shop.hardware,
        place=RunPlace(folder, mark),
        watcher=watcher,
    )
    if found == mark:
        run.resume()
    run.train()
    return run


def _plan(shop: Workshop) -> list[Step]:
    encoder = shop.assets.encoder()
    courses = []
    for source in shop.config.sources:
        examples = shop.data[source.name].train
        lengths = [encoder.encode(source_of(example)).tokens for example in examples]
        courses.append(Course(source, [example.group for example in examples], lengths))
    options = shop.config.training
    sampling = Sampling(options.sampling, options.sampling_temperature)
    return make_plan(courses, options.batch_tokens, shop.config.seed, sampling)


def fingerprint(shop: Workshop) -> str:
    """Names what decides a run's result: configuration, training data and pretrained weights."""
    digest = hashlib.sha256(shop.config.path.read_bytes())
    for name, source in sorted(shop.data.items()):
        digest.update(name.encode())
        for example in source.train:
            digest.update(repr((example.text, example.words, example.target)).encode())
    digest.update(shop.assets.tokenizer_json.encode())
    digest.update(json.dumps(shop.assets.lexicon, sort_keys=True).encode())
    for value in shop.network.state_dict().values():
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def discard(folder: Path) -> None:
    """Remove what a run left in its folder, and nothing else that may lie there."""
    for name in (CHECKPOINT, BEST, HISTORY, CONFIG_COPY):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / ENCODER_FOLDER, ignore_errors=True)
