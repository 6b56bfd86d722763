"""Pairs: a peer and ours, alive together and loaded in turn."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from polyhead_server.bundle import open_bundle
from polyhead_server.cpus import usable_cpus
from polyhead_server.model import load_encoder
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench import bench
from tests.bench.calls import BATCH, SINGLE, groups
from tests.bench.closed import FailedCallError, quantile
from tests.bench.peers.contenders import APPS, ENVIRONMENTS, OURS, PEERS
from tests.bench.peers.load import Target, offer, press
from tests.bench.peers.processes import StartError, free_ports, running
from tests.bench.texts import exact, news

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.calls import Form
    from tests.bench.peers.contenders import Contender, Peer
    from tests.bench.peers.load import Rate
    from tests.bench.peers.processes import Group
    from tests.bench.texts import Corpus
    from tests.bench.wire import Request

LENGTHS = tuple(map(int, bench.LENGTHS))
FORMS = (SINGLE, BATCH)
TEXTS = 256
WEIGHTS = ENVIRONMENTS / "weights"
CHECKED = 8
"""Texts whose answers are looked at before anything is measured."""
LOAD = 0.6
"""Share of the peer's capacity, one text a call, at which latencies are compared."""
ROUNDS = 2
_START = 14.0
"""Seconds that starting and ending a pair takes, about."""
_PROBE, _STRETCH, _OPEN = 0.5, 1.0, 1.5
_UNIT = 2 * (2 * _PROBE + ROUNDS * (_STRETCH + _OPEN)) * 1.25
"""Seconds that one kind of text takes in a pair with such stretches; slow peers take longer."""
_LEAST = 0.3
"""Stretches become no shorter than that share of those."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    run: Path | None = None
    """A training run whose weights the peers get; drawn at random where none is given."""
    news: Path | None = None
    """JSONL.gz with news texts; made up where none is given."""
    peers: tuple[str, ...] = tuple(peer.name for peer in PEERS)
    lengths: tuple[int, ...] = LENGTHS
    budget_seconds: float = 420.0
    """What the whole may take, about; stretches are made longer or shorter to fit."""
    mode: str | None = None
    """How the peers' torch computes, in place of the fastest."""


@dataclass(eq=False, slots=True)
class Side:
    """One server of a pair, running."""

    contender: Contender
    address: str
    group: Group
    calls: dict[tuple[str, str], list[Request]] = field(default_factory=dict)

    def target(self) -> Target:
        """For the load."""
        return Target(lambda: self.contender.lines(self.address), self.group.cpu_clock())

    def press(self, kind: str, form: Form, seconds: float) -> Rate:
        """Closed loop with one kind of text."""
        in_flight = max(1, form.in_flight // self.contender.thinned)
        return press(self.target(), self.calls[kind, form.name], in_flight, seconds)


class NotInstalledError(Exception):
    """The peers' environments are not there."""


def installed() -> bool:
    """Whether the peers' environments are there."""
    return all(peer.python.exists() for peer in PEERS)


def measure(options: Options) -> dict[str, Any]:
    """Measure each peer beside ours. What one that does not come up said is in `failed`.

    Raises:
        NotInstalledError: `make bench-peers` has not made the environments.
    """
    chosen = [peer for peer in PEERS if peer.name in options.peers]
    missing = [peer.name for peer in chosen if not peer.python.exists()]
    if missing:
        raise NotInstalledError(f"no environment for {', '.join(missing)}: run make bench-peers")
    origin = prepare_weights(options.run)
    corpora = _corpora(options)
    each = options.budget_seconds / max(1, len(chosen)) - _START
    scale = max(_LEAST, each / (len(corpora) * _UNIT))
    pairs: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for peer in chosen:
        try:
            pairs[peer.name] = _pair(peer, corpora, options, scale)
        except StartError as error:
            failed[peer.title] = str(error)
    return {
        "machine": {"cpus": usable_cpus(), "platform": platform.platform()},
        "weights": origin,
        "texts": {kind: corpus.name for kind, corpus in corpora.items()},
        "peers": pairs,
        "failed": failed,
    }


def prepare_weights(run: Path | None) -> str:
    """Make the peers' checkpoints anew, in a process of their own: where the values are from."""
    shutil.rmtree(WEIGHTS, ignore_errors=True)
    command = [sys.executable, "-m", "tests.bench.peers.weights", str(WEIGHTS)]
    subprocess.run([*command, *(("--run", str(run)) if run else ())], check=True)
    content = json.loads((WEIGHTS / "multitask" / "heads.json").read_text(encoding="utf-8"))
    origin: str = content["weights"]
    return origin


def _corpora(options: Options) -> dict[str, Corpus]:
    tokenize = load_encoder(open_bundle(DEFAULT_BUNDLE)).encode
    found = {str(length): exact(tokenize, length, TEXTS) for length in options.lengths}
    return found | {"news": news(tokenize, TEXTS, options.news)}


def _pair(peer: Peer, corpora: dict[str, Corpus], options: Options, scale: float) -> dict[str, Any]:
    begin = time.perf_counter()
    with _up(OURS, options) as ours, _up(peer, options) as other:
        sides = (other, ours)
        for side in sides:
            _prepare(side, corpora)
        agreement = _check(other, ours, corpora["news"])
        idle = _idle(other)
        _say(f"{peer.title}: up after {other.group.seconds_to_ready:.1f} s")
        probes = _probes(sides, corpora, _PROBE * scale)
        best = {
            kind: max(FORMS, key=lambda form: probes[other, kind, form].texts_per_second)
            for kind in corpora
        }
        rates = _rates(sides, best, _STRETCH * scale)
        latencies = _latencies(sides, probes, corpora, _OPEN * scale)
        memory = [side.group.memory() for side in sides]
    return {
        "title": peer.title,
        "target": peer.target,
        "versions": _versions(peer),
        "settings": _told(_settings(peer, options)),
        "agreement": agreement,
        "seconds_to_ready": round(other.group.seconds_to_ready, 2),
        "idle_cpus": round(idle, 3),
        "memory_bytes": {"peer": memory[0], "ours": memory[1]},
        "seconds": round(time.perf_counter() - begin, 1),
        "kinds": {
            kind: _figures(
                best[kind],
                [rates[side, kind] for side in sides],
                {
                    form.name: [probes[side, kind, form].texts_per_second for side in sides]
                    for form in FORMS
                },
                latencies[kind],
            )
            for kind in corpora
        },
    }


@contextlib.contextmanager
def _up(contender: Contender, options: Options) -> Iterator[Side]:
    port, second, third = free_ports(3)
    address = f"127.0.0.1:{port}"
    environment = {
        "POLYHEAD_PEER_PORT": str(port),
        "POLYHEAD_PEER_SECOND_PORT": str(second),
        "POLYHEAD_PEER_THIRD_PORT": str(third),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(port + 1),
        "POLYHEAD_PEER_WEIGHTS": str(WEIGHTS.absolute()),
        "POLYHEAD_PEER_THREADS": str(usable_cpus()),
        "OMP_NUM_THREADS": str(usable_cpus()),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(APPS),
    }
    own = {} if contender is OURS else environment | _settings(contender, options)

    def answers() -> bool:
        with contextlib.suppress(Exception):
            return bool(contender.ask(["Is it ready?"], address))
        return False

    folder = Path.cwd()
    with running(contender.command(port), own, answers, contender.patience, folder) as group:
        yield Side(contender, address, group)


def _settings(contender: Contender, options: Options) -> dict[str, str]:
    mode = {"POLYHEAD_PEER_MODE": options.mode} if options.mode else {}
    return {**contender.settings, **mode}


def _told(settings: dict[str, str]) -> dict[str, str]:
    """Settings without where things lie on this machine, which says nothing elsewhere."""
    return {name: value for name, value in settings.items() if name != "PYTHONPATH"}


def _prepare(side: Side, corpora: dict[str, Corpus]) -> None:
    for kind, corpus in corpora.items():
        for form in FORMS:
            side.calls[kind, form.name] = [
                side.contender.request(texts, tokens, side.address)
                for texts, tokens in groups(corpus, form.size)
            ]


def _check(other: Side, ours: Side, corpus: Corpus) -> dict[str, float]:
    """Share of equal answers by task.

    Raises:
        RuntimeError: the peer leaves out a text, a task or a word.
    """
    texts = corpus.texts[:CHECKED]
    found = [side.contender.ask(texts, side.address) for side in (other, ours)]
    same: dict[str, list[bool]] = defaultdict(list)
    for peer, own in zip(*found, strict=True):
        if peer.keys() != own.keys() or len(peer["pos"]) != len(own["pos"]):
            raise RuntimeError(f"{other.contender.name} answers otherwise: {peer} for {own}")
        for task, value in own.items():
            if task == "pos":
                pairs = zip(peer[task], value, strict=True)
                same[task] += [tag == mine for (_, tag), (_, mine) in pairs]
            else:
                same[task].append(peer[task] == value)
    return {task: round(sum(values) / len(values), 3) for task, values in same.items()}


def _idle(side: Side) -> float:
    """Processors that a server takes without any call."""
    clock = side.group.cpu_clock()
    begin, before = time.perf_counter(), clock()
    time.sleep(1)
    return (clock() - before) / (time.perf_counter() - begin)


def _probes(
    sides: Sequence[Side], corpora: dict[str, Corpus], seconds: float
) -> dict[tuple[Side, str, Form], Rate]:
    return {
        (side, kind, form): side.press(kind, form, seconds)
        for kind in corpora
        for form in FORMS
        for side in sides
    }


def _rates(
    sides: Sequence[Side], best: dict[str, Form], seconds: float
) -> dict[tuple[Side, str], list[Rate]]:
    found: dict[tuple[Side, str], list[Rate]] = defaultdict(list)
    for _ in range(ROUNDS):
        for kind, form in best.items():
            for side in sides:
                found[side, kind].append(side.press(kind, form, seconds))
    return found


def _latencies(
    sides: Sequence[Side],
    probes: dict[tuple[Side, str, Form], Rate],
    corpora: dict[str, Corpus],
    seconds: float,
) -> dict[str, dict[str, Any]]:
    found = {}
    for kind in corpora:
        rate = LOAD * probes[sides[0], kind, SINGLE].texts_per_second
        seen: list[list[float]] = [[], []]
        for number in range(ROUNDS):
            for side, own in zip(sides, seen, strict=True):
                calls = side.calls[kind, SINGLE.name]
                own.extend(offer(side.target(), calls, rate, seconds, number))
        if not all(seen):
            raise FailedCallError(f"no call was due in open loop, {kind}: measure for longer")
        found[kind] = {
            "offered_per_second": rate,
            "calls": len(seen[0]),
            **{
                f"p{percent}": {
                    "peer": quantile(seen[0], percent / 100),
                    "ours": quantile(seen[1], percent / 100),
                }
                for percent in (50, 99)
            },
        }
    return found


def _figures(
    form: Form,
    rates: list[list[Rate]],
    probes: dict[str, list[float]],
    latency: dict[str, Any],
) -> dict[str, Any]:
    def both(pick: Callable[[Rate], float]) -> dict[str, float]:
        values = [median(pick(rate) for rate in side) for side in rates]
        return dict(zip(("peer", "ours"), values, strict=True))

    each = both(lambda rate: rate.texts_per_second)
    cpu = both(lambda rate: rate.server_cpu_per_text)
    return {
        "form": form.name,
        "texts_per_second": each,
        "ratio": each["ours"] / each["peer"],
        "ratio_by_form": {name: ours / peer for name, (peer, ours) in probes.items()},
        "cpu_per_text": cpu,
        "cpu_ratio": cpu["peer"] / cpu["ours"] if cpu["ours"] else 0.0,
        "generator_cpu_per_text": both(lambda rate: rate.generator_cpu_per_text),
        "latency": latency,
    }


def _versions(peer: Peer) -> dict[str, str]:
    code = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    said = subprocess.run(
        [str(peer.python), "-c", code, *peer.packages], capture_output=True, check=True, text=True
    )
    found: dict[str, str] = json.loads(said.stdout)
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr)
