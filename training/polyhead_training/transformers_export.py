"""Leaves with one head as an ordinary transformers checkpoint, which ``pipeline`` loads."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from tokenizers.processors import TemplateProcessing

from polyhead_training.bundle_place import beside
from polyhead_training.checkpoint import BEST
from polyhead_training.config import load_config
from polyhead_training.data import load_all
from polyhead_training.errors import TrainingError
from polyhead_training.transformers_fit import FitOptions, fit_model, lessons
from polyhead_training.transformers_model import (
    head_module,
    obstacles,
    prove,
    reads_last_piece,
    standard_model,
)
from polyhead_training.transformers_texts import Agreement, Reader, compare
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import reopen_workshop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.bundle import TokenizerSpec
    from polyhead_server.encoding import Window
    from polyhead_training.config import Config, SourceConfig
    from polyhead_training.data import Example, SourceData
    from polyhead_training.workshop import Workshop

_TASKS = {
    "classification": "text-classification",
    "tagging": "token-classification",
    "spans": "token-classification",
}
_PROOF_TEXTS = 24
_PROOF_WORDS = (1, 4, 12)
_TOLD_STEPS = 50
_MOST_COMPARED = 1000
"""Held-out texts of a source that are compared."""
_HELD = 10
"""Without validation and test data, one of so many training texts is kept for the comparison."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to leave with."""

    place: Path
    """Run directory, or a bundle with its run directory beside it."""
    head: str
    out: Path
    """Directory to be made."""
    data: Path | None = None
    """Directory with the configuration's data, to compare and to fit."""
    fit: FitOptions | None = None
    """How to fit what a standard class has no place for; None to refuse."""


def export_transformers(order: Order) -> list[Agreement]:
    """Write a checkpoint of a standard class, and compare it on texts it has not learned from.

    Returns:
        For each data set of the head the comparison; empty without data.

    Raises:
        TrainingError: there is no such run or head, the place is taken, or the network has parts
            that the standard class has no place for, and they are not to be fitted.
        ExportError: the standard model gives something else than the network.
        InputError: the data have errors.
    """
    console = Console(highlight=False, soft_wrap=True)
    _check_free(order.out)
    shop = _open(order)
    head_module(shop.network, order.head)
    found = obstacles(shop.network, order.head)
    if found and order.fit is None:
        raise TrainingError(_refusal(order.head, found))
    shop.network.eval()
    model = standard_model(shop, order.head).to(shop.hardware.device)
    reader = _reader(shop)
    taught, held = _parts(shop, order.head)
    if found and order.fit is not None:
        _fit(console, shop, model, reader, taught, order.fit)
    else:
        worst = prove(shop, order.head, model, _windows(shop))
        console.print(f"the standard model gives the same logits, up to {worst:.1g} of the largest")
    _write(order.out, model, reader)
    agreements = [
        compare(model, reader, shop.model(), source, examples)
        for source, examples in held
        if examples
    ]
    _tell(console, shop, order, agreements)
    return agreements


def _refusal(head: str, found: Sequence[str]) -> str:
    return "\n  ".join(
        [
            f'head "{head}" cannot be left as it is: the standard class has no place for',
            *found,
            "give --fit and --data to convert it by a short distillation, or train a run without",
        ]
    )


def _open(order: Order) -> Workshop:
    folder = order.place
    beside = folder.with_name(folder.name + ".run")
    if not (folder / BEST).exists() and (beside / BEST).exists():
        folder = beside
    if not (folder / BEST).exists() or not (folder / CONFIG_COPY).exists():
        raise TrainingError(f"{order.place} holds no weights of a run, and has no run beside it")
    if order.fit is not None and order.data is None:
        raise TrainingError("--fit learns from the training texts: give --data")
    config = _of_head(load_config(folder / CONFIG_COPY), order.head)
    data = load_all(config, order.data) if order.data else {}
    shop = reopen_workshop(config, data, folder)
    return replace(shop, hardware=replace(shop.hardware, bf16=False))


def _of_head(config: Config, head: str) -> Config:
    """The configuration with the sources of one head."""
    return replace(config, sources=tuple(s for s in config.sources if s.head == head))


_Part = list[tuple["SourceConfig", "Sequence[Example]"]]


def _parts(shop: Workshop, head: str) -> tuple[_Part, _Part]:
    """Training texts and held-out texts of each source of a head."""
    taught: _Part = []
    held: _Part = []
    for source in shop.config.sources:
        data = shop.data.get(source.name)
        if data is None or source.head != head:
            continue
        learned, kept = _split(data, shop.config.seed)
        taught.append((source, learned))
        held.append((source, [] if source.unlabelled else _some(kept, shop.config.seed)))
    return taught, held


def _some(examples: Sequence[Example], seed: int) -> Sequence[Example]:
    most = min(_MOST_COMPARED, len(examples))
    return random.Random(seed).sample(examples, most)


def _split(data: SourceData, seed: int) -> tuple[Sequence[Example], Sequence[Example]]:
    if data.dev or data.test:
        return data.train, data.dev or data.test
    order = random.Random(seed).sample(data.train, len(data.train))
    return order[len(order) // _HELD :], order[: len(order) // _HELD]


def _fit(
    console: Console,
    shop: Workshop,
    model: Any,
    reader: Reader,
    taught: _Part,
    options: FitOptions,
) -> None:
    def asked(source: str, done: int, total: int) -> None:
        if done == total:
            console.print(f"the run answered to {total:,} texts of {source}")

    def stepped(done: int, total: int, loss: float) -> None:
        if done == total or done % _TOLD_STEPS == 0:
            console.print(f"fitting: step {done}/{total}  loss {loss:.4f}")

    given = lessons(shop, [(s, part) for s, part in taught if part], options, asked)
    if not given:
        raise TrainingError("the configuration has no training texts for this head")
    fit_model(model, reader, given, options, seed=shop.config.seed, progress=stepped)


def _reader(shop: Workshop) -> Reader:
    """The run's tokenizer, set to read as the run does as far as it can."""
    tokenizer = shop.assets.tokenizer
    tokenizer.model_max_length = shop.config.encoder.max_tokens
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if shop.assets.spec.spaced:  # the first word too is cut as it is behind a space
        tokenizer.add_prefix_space = tokenizer.init_kwargs["add_prefix_space"] = True
        tokenizer.backend_tokenizer.pre_tokenizer.add_prefix_space = True
    _set_marks(tokenizer, shop.assets.spec)
    return Reader(tokenizer, reads_last_piece(shop))


def _set_marks(tokenizer: Any, spec: TokenizerSpec) -> None:
    """Let the tokenizer's fast form put the run's marks around a text, where it does not yet."""
    marks = [*spec.prefix, *spec.suffix]
    if tokenizer("")["input_ids"] == marks:
        return
    names = {number: tokenizer.convert_ids_to_tokens(number) for number in marks}
    single = [names[i] for i in spec.prefix] + ["$A"] + [names[i] for i in spec.suffix]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=single, special_tokens=[(name, number) for number, name in names.items()]
    )


def _windows(shop: Workshop) -> list[Window]:
    """Windows of words drawn from the tokenizer's vocabulary."""
    rng = random.Random(shop.config.seed)
    known = shop.assets.tokenizer.get_vocab()
    vocabulary = sorted(word for word in known if word.isascii() and word.isalpha())
    encoder = shop.assets.encoder()
    drawn = [rng.choices(vocabulary, k=rng.choice(_PROOF_WORDS)) for _ in range(_PROOF_TEXTS)]
    documents = [encoder.encode(tuple(words)) for words in drawn]
    return [document.windows[0] for document in documents if len(document.windows) == 1]


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TrainingError(f"{out} exists: give a path that is free by --out")


def _write(out: Path, model: Any, reader: Reader) -> None:
    """Write the checkpoint beside its place, and put it there when it is whole."""
    fresh = beside(out, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        model.save_pretrained(fresh)
        reader.tokenizer.save_pretrained(fresh)
    except BaseException:
        shutil.rmtree(fresh)
        raise
    if out.exists():
        out.rmdir()  # it is empty
    fresh.rename(out)


def _tell(console: Console, shop: Workshop, order: Order, agreements: Sequence[Agreement]) -> None:
    for one in agreements:
        console.print(
            f"{one.source}: same answers {100 * one.same:.1f} %, same sub-words in "
            f"{100 * one.pieces:.1f} % of {one.texts:,} texts; {one.metric} {100 * one.ours:.2f} "
            f"here, {100 * one.theirs:.2f} as exported"
        )
    task = _TASKS[shop.config.head(order.head).kind]
    console.print(f'checkpoint: {order.out}\nload it: pipeline("{task}", model="{order.out}")')
