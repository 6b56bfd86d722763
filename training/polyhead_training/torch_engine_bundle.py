"""The torch engine of the server: the encoder's weights in a bundle, and out of it.

Data only: safetensors, and the JSON of the transformers configuration beside them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from transformers import AutoConfig, AutoModel

from polyhead_server.bundle import torch_config
from polyhead_server.errors import BundleError
from polyhead_training.adapters import merge_adapters
from polyhead_training.errors import TrainingError
from polyhead_training.families import family_of
from polyhead_training.network import Encoder
from polyhead_training.torch_engine import TorchEngine

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_server.engine import EngineOptions

TORCH_FILE = "torch/encoder.safetensors"
"""What export calls the weights."""

_OF_THE_MACHINE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


def write_torch_part(encoder: Encoder, bundle: Path) -> str:
    """Write an encoder's weights in f32, and its configuration, into a bundle.

    Returns:
        The weights' path in the bundle, for the manifest.
    """
    merged = merge_adapters(encoder)
    settings = json.loads(merged.transformer.config.to_json_string(use_diff=False))
    content = {
        "transformer": {k: v for k, v in settings.items() if k not in _OF_THE_MACHINE},
        "shapes": merged.shapes is not None,
        "mix": merged.mix is not None,
    }
    weights = {name: _plain(tensor) for name, tensor in merged.state_dict().items()}
    file = bundle / TORCH_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(save(weights))
    text = json.dumps(content, indent=1)
    (bundle / torch_config(TORCH_FILE)).write_text(text + "\n", encoding="utf-8")
    return TORCH_FILE


def read_torch_part(bundle: Bundle) -> Encoder:
    """Build the encoder of a bundle.

    Raises:
        BundleError: the bundle has no weights for torch, or they cannot be read.
    """
    weights = bundle.manifest.encoder.torch
    if weights is None:
        raise BundleError(
            "it brings no weights for the engine 'torch': export it with torch = true in [export]"
        )
    try:
        encoder = _blank(bundle.path / torch_config(weights))
        encoder.load_state_dict(load_file(bundle.path / weights))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        raise BundleError(f"{weights} cannot be read by torch ({type(error).__name__})") from None
    except (SafetensorError, TrainingError) as error:
        raise BundleError(f"{weights} cannot be read by torch: {error}") from None
    if encoder.hidden_size != bundle.manifest.encoder.hidden_size:
        raise BundleError(f"{weights} gives {encoder.hidden_size} values a token")
    return encoder.eval()


def open_torch_engine(bundle: Bundle, options: EngineOptions) -> TorchEngine:
    """The engine that `polyhead-server serve --engine torch` takes: on CUDA where there is one.

    With precision auto it computes in bf16 on CUDA where that has it, and in f32 on CPU, where it
    is the reference.

    Raises:
        BundleError: the bundle has no weights for torch, or they cannot be read.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.threads:
        torch.set_num_threads(max(1, options.threads // options.streams))
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    bf16 = options.precision == "bf16" or (options.precision == "auto" and able)
    encoder = read_torch_part(bundle).to(device)
    return TorchEngine(encoder, device, bf16=bf16, streams=options.streams)


def _blank(file: Path) -> Encoder:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    settings = AutoConfig.for_model(**content["transformer"])
    attention = family_of(settings).attention
    transformer = AutoModel.from_config(settings, attn_implementation=attention)
    return Encoder(transformer, shapes=bool(content["shapes"]), mix=bool(content["mix"]))


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """As it lies in a file: f32 and by itself."""
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().clone()
