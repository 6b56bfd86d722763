"""Unsupervised pre-training from raw text, to a directory that fine-tuning takes as an encoder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from polyhead_training.assets import encoder_assets
from polyhead_training.checkpoint import (
    best_weights,
    claim,
    clear_run,
    sole_use,
)
from polyhead_training.errors import TrainingError
from polyhead_training.language_model import open_language_model
from polyhead_training.loop import RunPlace
from polyhead_training.passages import Marks, hold_out, make_corpus
from polyhead_training.pretrain_result import check_result_place, write_result
from polyhead_training.pretrain_run import PretrainRun, perplexity
from polyhead_training.pretrained import check_positions, loading
from polyhead_training.progress import Reporter
from polyhead_training.raw_text import load_texts
from polyhead_training.recurrent_start import ARCHITECTURES, start_recurrent
from polyhead_training.workshop import choose_hardware

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_training.assets import Assets
    from polyhead_training.language_model import LanguageModel
    from polyhead_training.passages import Corpus
    from polyhead_training.pretrain_config import PretrainConfig

_START = "start"
"""Part of a run directory with the sizes and the tokenizer of a new recurrent model."""


class PretrainReporter(Reporter):
    """Watches pre-training."""

    def held_out(self, step: int, loss: float, *, best: bool) -> None:
        """Show a measurement on the held-out texts."""
        mark = "  (best so far)" if best else ""
        self._console.print(
            f"held out at step {step}: loss {loss:.3f}, perplexity {perplexity(loss):,.2f}{mark}"
        )


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that a pre-training run is made of."""

    config: PretrainConfig
    encoder: str
    """What the run starts from, as it was named."""
    assets: Assets
    model: LanguageModel
    corpus: Corpus

    @property
    def marks(self) -> Marks:
        """What masking has to know."""
        special = (*self.assets.spec.prefix, *self.assets.spec.suffix)
        mask = self.assets.tokenizer.mask_token_id
        if self.model.objective != "mlm":
            mask = -1
        elif mask is None:
            raise TrainingError(f"the tokenizer of {self.encoder!r} has no token for a mask")
        return Marks(mask, special, len(self.assets.tokenizer))


def pretrain(
    config: Path,
    data: Path,
    out: Path,
    *,
    folder: Path | None = None,
    encoder: str | None = None,
    fresh: bool = False,
) -> None:
    """Pre-train an encoder on raw text.

    Args:
        config: pre-training configuration.
        data: directory that its files are relative to.
        out: directory of the new encoder; an older one there is replaced.
        folder: run directory; None for ``out`` with .run added.
        encoder: hub id, path, "awd-lstm" or "elmo" in place of the configured encoder.
        fresh: start anew where there is a checkpoint.

    Raises:
        InputError: configuration or texts have errors; nothing was started.
        TrainingError: the encoder is not to be had or cannot do this, the run directory is another
            run's, or ``out`` is something else than a pretrained encoder.
    """
    check_result_place(out)
    folder = folder or out.with_name(out.name + ".run")
    settings, texts = load_texts(config, data)
    if fresh:
        _discard(folder)
    ready = prepare(settings, texts, folder, encoder or settings.encoder.model)
    with PretrainReporter() as reporter:
        run = _train(ready, folder, reporter)
    ready.model.load_state_dict(best_weights(folder))
    record = _record(ready, run)
    write_result(out, ready.model.whole, ready.assets.tokenizer, record)
    before = perplexity(run.progress.history[0]["held_out_loss"])
    after = min(item["perplexity"] for item in run.progress.history)
    Console(highlight=False).print(
        f"held-out perplexity: {before:,.2f} before, {after:,.2f} after {run.progress.best_step} "
        f"steps\nencoder: {out}\n"
        f"fine-tune it: polyhead-train fit CONFIG.toml --data DIR --out BUNDLE --encoder {out}",
        soft_wrap=True,
    )


def prepare(
    config: PretrainConfig, texts: Mapping[str, Sequence[str]], folder: Path, encoder: str
) -> Preparation:
    """Build the language model and cut the texts into passages.

    Args:
        config: the configuration.
        texts: documents of each of its sets.
        folder: run directory.
        encoder: hub id, directory, "awd-lstm" or "elmo".

    Raises:
        TrainingError: the encoder is not to be had or cannot do this, or the texts are too few.
    """
    name, options = encoder, config.encoder
    parts = hold_out(texts, config.hold_out, config.seed)
    with loading(config.path, encoder):
        if encoder in ARCHITECTURES:
            name = str(start_recurrent(config, parts.train, folder / _START, encoder))
            options = replace(options, init="random")
        assets = encoder_assets(options, name)
        torch.manual_seed(config.seed)
        model = open_language_model(name, options, config.objective)
    check_positions(config.path, options.max_tokens, model.encoder)
    corpus = make_corpus(parts, assets.encoder())
    if not corpus.held or not any(corpus.train.values()):
        raise TrainingError(f"{config.path}: the texts are too few to hold some of them out")
    return Preparation(config, encoder, assets, model, corpus)


def _train(ready: Preparation, folder: Path, watcher: PretrainReporter) -> PretrainRun:
    mark = _fingerprint(ready)
    with sole_use(folder):
        begun = claim(folder, mark, "configuration, texts or encoder")
        return _train_in(RunPlace(folder, mark), ready, watcher, begun=begun)


def _train_in(
    place: RunPlace, ready: Preparation, watcher: PretrainReporter, *, begun: bool
) -> PretrainRun:
    hardware = choose_hardware(ready.config)
    run = PretrainRun(
        ready.config,
        ready.model.to(hardware.device),
        ready.corpus,
        ready.marks,
        hardware=hardware,
        place=place,
        watcher=watcher,
    )
    if begun:
        run.resume()
    run.train()
    return run


def _fingerprint(ready: Preparation) -> str:
    """Names what decides a run's result: configuration, texts, tokenizer and first weights."""
    digest = hashlib.sha256(ready.config.path.read_bytes())
    for name, part in (*sorted(ready.corpus.train.items()), ("", ready.corpus.held)):
        digest.update(name.encode())
        for passage in part:
            digest.update(passage.tobytes())
    digest.update(ready.assets.tokenizer_json.encode())
    for value in ready.model.state_dict().values():
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _discard(folder: Path) -> None:
    """Remove what a run left in its folder, and nothing else that may lie there."""
    clear_run(folder, (_START,))


def _record(ready: Preparation, run: PretrainRun) -> dict[str, object]:
    config = ready.config
    return {
        "name": config.name,
        "encoder": ready.encoder,
        "init": config.encoder.init,
        "objective": ready.model.objective,
        "seed": config.seed,
        "config": config.path.read_text(encoding="utf-8"),
        "texts": [
            {
                "name": texts.name,
                "licence": texts.licence,
                "passages": len(ready.corpus.train[texts.name]),
            }
            for texts in config.texts
        ],
        "held_out_passages": len(ready.corpus.held),
        "steps": run.progress.step,
        "best_step": run.progress.best_step,
        "training_seconds": round(run.progress.seconds),
        "history": run.progress.history,
    }
