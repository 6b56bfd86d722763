"""The encoder on torch behind the serving engine's interface: the reference, and for evaluation.

A network in training can so be asked for results by the same code that serves a bundle.
"""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from polyhead_server.engine import EngineFacts
from polyhead_server.heads import Head
from polyhead_server.model import Model

if TYPE_CHECKING:
    from polyhead_server.bundle import Bundle
    from polyhead_server.encoding import DocumentEncoder
    from polyhead_server.engine import Hidden
    from polyhead_server.packing import Packed
    from polyhead_training.network import Encoder, MultiTaskNetwork


class PackedEncoder(nn.Module):
    """The encoder over flat packed tokens: attention stays within a segment."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, positions: Tensor, segments: Tensor, shapes: Tensor) -> Tensor:
        """Encode [N] tokens: [N, H]."""
        mask = (segments.unsqueeze(0) == segments.unsqueeze(1)).to(torch.float32)
        hidden: Tensor = self.encoder(
            ids.unsqueeze(0), positions.unsqueeze(0), mask.unsqueeze(0), shapes.unsqueeze(0)
        )
        return hidden.flatten(0, 1)  # not squeeze: the tracer must know the rank


class PaddedEncoder(nn.Module):
    """The encoder over flat packed tokens, run with a row for each segment.

    For encoders that cannot be told by a mask where a segment ends, such as recurrent ones.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, positions: Tensor, segments: Tensor, shapes: Tensor) -> Tensor:
        """Encode [N] tokens, those of a segment next to each other: [N, H]."""
        ends = torch.cat([segments.diff().nonzero().flatten() + 1, ids.new_tensor([len(ids)])])
        lengths = ends.diff(prepend=ends.new_zeros(1))
        parts = [values.tensor_split(ends[:-1].cpu()) for values in (ids, positions, shapes)]
        rows = [nn.utils.rnn.pad_sequence(list(part), batch_first=True) for part in parts]
        count = torch.arange(rows[0].shape[1], device=ids.device)
        mask = (count < lengths.unsqueeze(1)).long()
        hidden: Tensor = self.encoder(rows[0], rows[1], mask, rows[2])
        return hidden[mask.bool()]


class TorchEngine:
    """A torch encoder as a serving engine.

    Args:
        encoder: the network's encoder.
        device: where it runs.
        bf16: whether to compute in bfloat16.
        streams: calls that are worked on at the same time.
    """

    def __init__(
        self, encoder: Encoder, device: torch.device, *, bf16: bool = False, streams: int = 1
    ) -> None:
        self._packed = PackedEncoder(encoder) if encoder.packable else PaddedEncoder(encoder)
        self._device = device
        self._bf16 = bf16
        self._free = threading.Semaphore(streams)
        self.streams = streams
        self.apart = False
        self.facts = _facts(device, bf16=bf16, streams=streams)

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H]."""
        return self._encode(batch, bf16=self._bf16)

    def plain(self, batch: Packed) -> Hidden | None:
        """Encode a batch in f32: [N, H]. None where ``infer`` does so."""
        return self._encode(batch, bf16=False) if self._bf16 else None

    @torch.inference_mode()
    def _encode(self, batch: Packed, *, bf16: bool) -> Hidden:
        with self._free, torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            tensors = [torch.from_numpy(array).to(self._device) for array in batch.columns]
            hidden = self._packed(*tensors)
            return cast("Hidden", hidden.float().cpu().numpy())

    def close(self) -> None:
        """Nothing to give up."""


def _facts(device: torch.device, *, bf16: bool, streams: int) -> EngineFacts:
    on_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_cuda else platform.processor() or "cpu"
    floats = "bf16" if bf16 else "f32"
    threads = str(torch.get_num_threads())
    return EngineFacts("torch", name, floats, floats, threads=threads, streams=str(streams))


def torch_model(
    network: MultiTaskNetwork,
    bundle: Bundle,
    encoder: DocumentEncoder,
    device: torch.device,
    *,
    bf16: bool = False,
) -> Model:
    """The serving model with torch in the engine's place.

    Args:
        network: the network; put into evaluation mode.
        bundle: description of the tokenizer and of the heads to take.
        encoder: document encoder.
        device: where the network is.
        bf16: whether to compute in bfloat16.
    """
    network.eval()
    width = network.encoder.hidden_size
    heads = {
        spec.name: Head(spec, head_tensors(network, spec.name), width) for spec in bundle.heads
    }
    engine = TorchEngine(network.encoder, device, bf16=bf16)
    return Model(bundle, encoder, engine, heads)


def head_tensors(network: MultiTaskNetwork, name: str) -> dict[str, Hidden]:
    """A head's matrices as the bundle holds them."""
    state = network.heads[name].state_dict()
    return {key: tensor.float().cpu().numpy().copy() for key, tensor in state.items()}
