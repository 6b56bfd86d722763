"""Parts of an exported encoder beside its graph: vectors to check engines by, weights for torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from polyhead_server.engine import EngineOptions
from polyhead_server.errors import BundleError
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.self_check import CHECK_FILE, check_batch, relative_error, write_reference
from polyhead_training.errors import ExportError
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.torch_engine_bundle import write_torch_part

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.bundle import EncoderSpec
    from polyhead_training.workshop import Workshop


def write_encoder_parts(shop: Workshop, bundle: Path, spec: EncoderSpec) -> EncoderSpec:
    """Write what a bundle holds of its encoder beside the graph, which is there already.

    Args:
        shop: configuration and network.
        bundle: where to write.
        spec: the manifest's description of the encoder.

    Returns:
        The description with these parts.
    """
    _write_check(shop, bundle, spec)
    weights = write_torch_part(shop.network.encoder, bundle) if shop.config.export.torch else None
    return replace(spec, check=CHECK_FILE, torch=weights)


def _write_check(shop: Workshop, bundle: Path, spec: EncoderSpec) -> None:
    """What torch gives in fp32: the same on every machine, whatever serves there."""
    batch = check_batch(shop.assets.encoder(), shop.assets.spec.position_offset)
    reference = TorchEngine(shop.network.encoder, torch.device("cpu"))
    vectors = reference.infer(batch)[: batch.used].copy()
    options = EngineOptions(threads=shop.config.training.threads)
    exact = spec.precision == "fp32"
    try:
        served = OpenVinoEngine(
            bundle / spec.file, options, hidden_size=spec.hidden_size, exact=exact
        )
    except BundleError as error:
        raise ExportError(f"the server cannot read the exported bundle: {error}") from error
    off = relative_error(served, batch, vectors)
    served.close()
    write_reference(bundle / CHECK_FILE, batch, vectors, off)
