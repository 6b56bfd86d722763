"""What the commands of ``polyhead-train`` do."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file as read_tensors
from threadpoolctl import threadpool_limits

from polyhead_server.bundle import open_bundle
from polyhead_server.errors import BundleError
from polyhead_server.model import Model
from polyhead_training.added_heads import added_names
from polyhead_training.average import average_runs
from polyhead_training.bundle_place import check_place
from polyhead_training.calibration import same_but_for_temperature
from polyhead_training.checkpoint import BEST, best_weights
from polyhead_training.config import load_config
from polyhead_training.console import open_console
from polyhead_training.data import load_all, load_inputs
from polyhead_training.distributed import ALONE
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import Measure
from polyhead_training.export import export_bundle, record_figures
from polyhead_training.fit import discard, train
from polyhead_training.leakage import leak_warnings
from polyhead_training.predictions import own_config
from polyhead_training.progress import Reporter
from polyhead_training.soft_targets import open_teachers
from polyhead_training.torch_engine import head_tensors
from polyhead_training.torch_figures import check_servable, exact_model, record_torch_figures
from polyhead_training.warm_start import CONFIG_COPY, earlier_config, start_from
from polyhead_training.workshop import measure_parts, open_workshop, reopen_workshop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle, HeadSpec
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.distributed import Team
    from polyhead_training.run import TrainingRun
    from polyhead_training.workshop import Workshop


def fit(  # noqa: PLR0913 - one for each option of the command
    config: Path,
    data: Path,
    out: Path,
    *,
    folder: Path | None = None,
    encoder: str | None = None,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    fresh: bool = False,
    export: bool = True,
    team: Team = ALONE,
) -> None:
    """Train, export, compare and measure a bundle.

    Args:
        config: training configuration.
        data: directory that its files are relative to.
        out: directory of the new bundle.
        folder: run directory; None for ``out`` with .run added.
        encoder: hub id or path in place of the configured encoder.
        start: run directory of an earlier run whose weights are the starting point.
        teachers: run directories of trained runs, whose answers are learned beside the labels.
        fresh: start anew where there is a checkpoint.
        export: whether to write a bundle; otherwise the network is measured in torch only.
        team: the processes that train together; the leader exports.

    Raises:
        InputError: configuration or data have errors; nothing was started.
        TrainingError: the encoder is not to be had, or the run directory is another run's.
    """
    console = open_console()
    folder = folder or run_folder(out)
    with team.agreed():
        check_place(out)
        shop = open_workshop(config, data, encoder, team)
        if export:
            check_servable(shop, "give --no-export to train and measure without a bundle")
        if start is not None:
            start_from(shop.network, start)
        opened = open_teachers(teachers)
        if fresh and team.leads and not team.restarted:
            discard(folder)
    if team.leads:
        _warn_of_leaks(console, shop)
    with Reporter(None if team.leads else Console(quiet=True)) as reporter:
        run = train(shop, folder, reporter, opened)
    if not team.leads:
        return
    shop.network.load_state_dict(best_weights(folder))
    if not export:
        console.print(f"weights of step {run.progress.best_step}")
        record_torch_figures(console, shop, folder)
        return
    console.print(f"weights of step {run.progress.best_step}; exporting")
    _finish(console, shop, out, _facts(run, start, teachers))


def _warn_of_leaks(console: Console, shop: Workshop) -> None:
    for line in leak_warnings(shop.config, shop.data):
        console.print(f"warning: {line}", soft_wrap=True, markup=False)


def average(runs: Sequence[Path], data: Path, out: Path) -> None:
    """Export and measure the mean of the weights of several runs.

    Args:
        runs: run directories; the first gives the configuration.
        data: directory that its files are relative to.
        out: directory of the new bundle.

    Raises:
        InputError: configuration or data have errors.
        TrainingError: the runs have no mean or none that can be served, or ``out`` is taken by
            something else.
    """
    check_place(out)
    earlier = [earlier_config(run) for run in runs]
    config, sources = load_inputs(runs[0] / CONFIG_COPY, data)
    place = run_folder(out)
    average_runs(runs, place)
    try:
        shop = reopen_workshop(config, sources, place)
        check_servable(shop, "there is no bundle to make of the mean")
        _finish(open_console(), shop, out, {"mean_of_runs": earlier})
    except BaseException:  # so that the same command can be given again
        shutil.rmtree(place, ignore_errors=True)
        raise


def _finish(console: Console, shop: Workshop, out: Path, facts: dict[str, object]) -> None:
    """Export a trained network, measure it served and in torch, and record the figures."""
    proof = export_bundle(shop, out, facts)
    console.print(
        f"the served encoder agrees with torch: cosine {proof.cosine:.4f}, same answers "
        + ", ".join(f"{name} {100 * value:.1f} %" for name, value in proof.agreement.items()),
        soft_wrap=True,
    )
    served, reference = _measure_both(shop.config, shop.data, out, shop)
    record_figures(out, served, reference)
    _print_table(console, served, reference)
    console.print(f"bundle: {out}\nserve it: polyhead-server serve --bundle {out}", soft_wrap=True)


def run_folder(bundle: Path) -> Path:
    """The default run directory of a bundle."""
    return bundle.with_name(bundle.name + ".run")


def _facts(
    run: TrainingRun, start: Path | None, teachers: Sequence[Path] = ()
) -> dict[str, object]:
    earlier = {"started_from": earlier_config(start)} if start else {}
    taught = {"teachers": [earlier_config(teacher) for teacher in teachers]} if teachers else {}
    return {
        **earlier,
        **taught,
        "steps": run.progress.step,
        "best_step": run.progress.best_step,
        "training_seconds": round(run.progress.seconds),
    }


def evaluate(
    bundle: Path,
    data: Path,
    config: Path | None,
    folder: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure a bundle, and the torch weights it was made from where they are at hand.

    Raises:
        InputError: configuration or data have errors.
        TrainingError: the bundle cannot be read, or has none of the configuration's heads.
    """
    try:
        known = open_bundle(bundle)
    except BundleError as error:
        raise TrainingError(str(error)) from None
    own = own_config(known)
    given = load_config(config) if config else own
    if given is None:
        raise TrainingError("the bundle does not say how it was trained: give --config")
    settings = _measured(given, known)
    sources = load_all(settings, data)
    shop = _trained(own, sources, known, folder) if own else None
    served, reference = _measure_both(settings, sources, bundle, shop)
    if shop is None:
        reference = _recorded(known.manifest.provenance, served)
    left_out = _left_out(given, known)
    if as_json:
        content = {
            "bundle": known.name,
            "version": known.version,
            "served": [asdict(figure) for figure in served],
            "torch": [asdict(figure) for figure in reference],
            "torch_measured_now": shop is not None,
            "left_out": left_out,
        }
        Console(soft_wrap=True).print_json(json.dumps(content))
        return
    console = open_console()
    _print_table(console, served, reference, now=shop is not None)
    for note in left_out:
        console.print(f"not measured: {note}", soft_wrap=True, markup=False)


def _measured(config: Config, bundle: Bundle) -> Config:
    """The configuration with what can be measured: parts beside training, of served heads."""
    heads = {head.name: head for head in bundle.heads}
    sources = tuple(
        replace(source, train=(), hold_out=0)
        for source in config.sources
        if source.head in heads and (source.dev or source.test)
    )
    if not sources:
        raise TrainingError("the configuration has no dev or test data for a head of the bundle")
    for name in sorted({source.head for source in sources}):
        ours, theirs = config.head(name), heads[name]
        if (ours.kind, set(ours.labels)) != (theirs.kind, set(theirs.labels)):
            raise TrainingError(f'head "{name}" has another kind or other labels in the bundle')
    return replace(config, sources=sources)


def _left_out(config: Config, bundle: Bundle) -> list[str]:
    """What was measured in training and is not now, since it takes the training files."""
    heads = {head.name for head in bundle.heads}
    return [
        f"{source.name} dev: training examples that were held out (hold_out = {source.hold_out})"
        for source in config.sources
        if source.head in heads and source.hold_out
    ]


def _trained(
    config: Config, data: Mapping[str, SourceData], bundle: Bundle, folder: Path | None
) -> Workshop | None:
    """The trained network in torch, where its weights are at hand."""
    place = folder or run_folder(bundle.path)
    if folder is None and not (place / BEST).exists():
        return None
    try:
        shop = reopen_workshop(config, data, place)
    except TrainingError:
        if folder is None:
            return None
        raise
    added = added_names(bundle.manifest)
    if all(_same_head(shop, bundle, head) for head in bundle.heads if head.name not in added):
        return shop
    if folder is None:
        return None
    raise TrainingError(f"{folder} holds other weights than those that the bundle was made from")


def _same_head(shop: Workshop, bundle: Bundle, head: HeadSpec) -> bool:
    ours, theirs = head_tensors(shop.network, head.name), read_tensors(bundle.path / head.file)
    return same_but_for_temperature(ours, theirs)


def _measure_both(
    config: Config, data: Mapping[str, SourceData], bundle: Path, shop: Workshop | None
) -> tuple[list[Measure], list[Measure]]:
    model = Model.load(bundle, threads=config.training.threads)
    threadpool_limits(1, user_api="blas")  # its idle threads would slow the engine's
    served = measure_parts(model, config, data)
    model.close()
    if shop is None:
        return served, []
    wanted = {figure.head for figure in served}
    found = measure_parts(exact_model(shop), config, data)
    return served, [figure for figure in found if figure.head in wanted]


def _recorded(provenance: Mapping[str, object], served: Sequence[Measure]) -> list[Measure]:
    """The torch figures noted at export, for as many texts of a part as were measured now."""
    keys = {_key(figure) for figure in served}
    noted = provenance.get("torch_figures", [])
    found = [Measure(**item) for item in noted] if isinstance(noted, list) else []
    return [figure for figure in found if _key(figure) in keys]


def _key(figure: Measure) -> tuple[str, str, str, str, int]:
    """What two figures have in common that can be compared."""
    return figure.head, figure.source, figure.split, figure.metric, figure.count


def _print_table(
    console: Console, served: Iterable[Measure], reference: Iterable[Measure], *, now: bool = True
) -> None:
    other = {_key(figure): figure.value for figure in reference}
    table = Table(title="Figures in percent")
    for name in ("head", "data", "part", "measure"):
        table.add_column(name, overflow="fold")
    for name in ("texts", "served", "torch" if now else "torch, at export", "gap"):
        table.add_column(name, justify="right")
    for figure in served:
        value = other.get(_key(figure))
        torch = ("", "") if value is None else _beside(figure.value, value)
        names = (figure.head, figure.source, figure.split, figure.metric)
        table.add_row(*names, f"{figure.count:,}", f"{100 * figure.value:.2f}", *torch)
    console.print(table)


def _beside(served: float, reference: float) -> tuple[str, str]:
    return f"{100 * reference:.2f}", f"{100 * (served - reference):+.2f}"
