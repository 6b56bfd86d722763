"""Training by several processes that hold the same weights, each with a part of every batch.

The processes are started by torchrun. Each learns from its part of a step's batch, the gradients
are added up, and the optimiser then does the same on all of them, so that their weights stay equal
(synchronous data parallelism). The process of rank 0 leads: it alone validates, writes and prints.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from polyhead_training.errors import StoppedError, TrainingError
from polyhead_training.problems import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_PATIENCE = timedelta(hours=24)
"""How long processes wait for each other: a validation or a teacher's answers can take hours."""

_BUCKET_VALUES = 1 << 26
"""Gradients sent at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of a step's batch is a process's own part, from 0 to 1."""

    targets: float = 1.0
    """Of the targets that count in the loss."""
    rows: float = 1.0
    """Of all rows of logits."""
    tokens: int = 0
    """Tokens of the whole batch."""


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of a run, as one of them sees them; the default is a single process."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    restarted: bool = False
    """Whether torchrun has started them anew after a failure."""

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and prints."""
        return self.rank == 0

    def part(self, lengths: Sequence[int]) -> frozenset[int]:
        """Which items of a batch are this process's own, such that all have about as many tokens.

        Args:
            lengths: tokens of each item of the batch.
        """
        loads = [0] * self.size
        own = set()
        for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            least = loads.index(min(loads))
            loads[least] += lengths[index]
            if least == self.rank:
                own.add(index)
        return frozenset(own)

    def portion(self, targets: int, rows: int, tokens: int) -> Portion:
        """What this process's counts are of the whole batch's."""
        whole = self.add([targets, rows, tokens])
        return Portion(targets / max(1, whole[0]), rows / max(1, whole[1]), int(whole[2]))

    def add(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        _reduce(total)
        return [float(value) for value in total]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Put the sum of all processes' gradients in the place of each one's own.

        A parameter without a gradient on every process keeps none; with one on some, it has none
        to add on the others.
        """
        if self.size == 1:
            return
        every = list(parameters)
        has = torch.tensor([parameter.grad is not None for parameter in every], dtype=torch.int32)
        _reduce(has, dist.ReduceOp.MAX)
        used = [parameter for parameter, one in zip(every, has.tolist(), strict=True) if one]
        for bucket in _buckets(used):
            _add_bucket(bucket)

    def share(self, value: T) -> T:
        """What the leader's value is, on every process."""
        if self.size == 1:
            return value
        box = [value]
        with _peers():
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def check_same(self, value: object, what: str) -> None:
        """Make sure that all processes have the same.

        Args:
            value: anything that can be compared.
            what: of what it is, in the plural.

        Raises:
            TrainingError: they have not; told by the leader.
        """
        if len({repr(one) for one in self._gather(value)}) > 1:
            self._stop(f"the processes of the run have different {what}: all need the same")

    def check_weights(self, state: Mapping[str, Tensor]) -> None:
        """Make sure that all processes have the same weights, to the bit.

        Raises:
            TrainingError: they have not.
        """
        if self.size > 1:
            self.check_same(_checksum(state), "weights")

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Do what may fail: where it fails on one process, all stop, and one tells why."""
        problem: Exception | None = None
        try:
            yield
        except (InputError, TrainingError, OSError) as error:
            if self.size == 1:
                raise
            problem = error
        told = [text for text in self._gather(problem and str(problem)) if text]
        if problem is not None and self.leads:
            raise problem
        if told:
            self._stop(told[0])

    def in_turn(self, work: Callable[[], T]) -> T:
        """Let the leader work before the others do: they find what it has written.

        Raises:
            TrainingError: the work failed somewhere.
        """
        found: list[T] = []
        for turn in (True, False):
            with self.agreed():
                if self.leads == turn:
                    found.append(work())
        return found[0]

    def _gather(self, value: T) -> list[T]:
        if self.size == 1:
            return [value]
        box: list[T | None] = [None] * self.size
        with _peers():
            dist.all_gather_object(box, value)
        return box  # type: ignore[return-value] # every place has been filled

    def _stop(self, text: str) -> NoReturn:
        if self.leads:
            raise TrainingError(text)
        with suppress(TrainingError):  # until the leader has told: torchrun ends all with the first
            self._gather(None)
        raise StoppedError


ALONE = Team()
"""A run of a single process."""


@contextmanager
def join_team(environment: Mapping[str, str]) -> Iterator[Team]:
    """Meet the other processes that torchrun has started; alone without it.

    Each process takes a CUDA device of its own where there are as many, and sends gradients by
    NCCL; otherwise by gloo.

    Args:
        environment: environment variables, in which torchrun says who is who.
    """
    size = int(environment.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    backend = _choose_device(environment)
    with _peers():
        dist.init_process_group(backend, timeout=_PATIENCE)
    restarted = int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    team = Team(dist.get_rank(), size, restarted)
    yield team
    team.share(None)  # the others leave when the leader does
    dist.destroy_process_group()  # not after an error: it would wait for those that are gone


def _choose_device(environment: Mapping[str, str]) -> str:
    devices = torch.cuda.device_count()
    if devices == 0:
        return "gloo"
    rank, size = (int(environment.get(f"LOCAL_{key}", "1")) for key in ("RANK", "WORLD_SIZE"))
    torch.cuda.set_device(rank % devices)
    return "cpu:gloo,cuda:nccl" if size <= devices else "gloo"


def _buckets(
    parameters: Sequence[torch.nn.Parameter],
) -> Iterator[list[torch.nn.Parameter]]:
    bucket: list[torch.nn.Parameter] = []
    room = _BUCKET_VALUES
    for parameter in parameters:
        if bucket and parameter.numel() > room:
            yield bucket
            bucket, room = [], _BUCKET_VALUES
        bucket.append(parameter)
        room -= parameter.numel()
    if bucket:
        yield bucket


def _add_bucket(bucket: Sequence[torch.nn.Parameter]) -> None:
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
    flat = torch.cat([part.float().flatten() for part in parts])
    _reduce(flat)
    sums = torch.split(flat, [part.numel() for part in parts])
    for parameter, total in zip(bucket, sums, strict=True):
        parameter.grad = total.view_as(parameter).to(parameter.dtype)


def _checksum(state: Mapping[str, Tensor]) -> int:
    found = 0
    for value in state.values():
        own = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
        found = zlib.crc32(own.numpy().data, found)
    return found


def _reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    with _peers():
        dist.all_reduce(tensor, op=operation)


@contextmanager
def _peers() -> Iterator[None]:
    """Turn torch's many ways to say that another process is gone into one."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            "another process of the run has ended or cannot be reached; the same command goes on "
            "from the last checkpoint"
        ) from error
