"""What the server says about itself and its models, as plain JSON for either wire."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from polyhead_server.inference.models import ALL_TASKS, ANY_NUMBER, TEXT
from polyhead_server.inference.requests import PRIORITIES, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead_server.checks import Limits
    from polyhead_server.inference.models import Catalog, ServedModel
    from polyhead_server.inference.statistics import Duration, ModelRecord

_PLATFORM = "polyhead"
_EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration", "parameters"),
    "statistics",
)
_CONFIG_TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "INT32": "TYPE_INT32"}

Json = dict[str, Any]


def server_metadata() -> Json:
    """What the server is."""
    return {
        "name": "polyhead",
        "version": version("polyhead-server"),
        "extensions": list(_EXTENSIONS),
    }


def model_metadata(model: ServedModel) -> Json:
    """What a model is."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": _PLATFORM,
        "inputs": [{"name": TEXT, "datatype": "BYTES", "shape": [ANY_NUMBER]}],
        "outputs": [
            {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
            for output in model.outputs.values()
        ],
    }


def model_config(model: ServedModel, limits: Limits) -> Json:
    """How a model is set up."""
    outputs = model.outputs.values()
    return {
        "name": model.name,
        "platform": _PLATFORM,
        "backend": _PLATFORM,
        "max_batch_size": 0,
        "input": [{"name": TEXT, "data_type": "TYPE_STRING", "dims": [ANY_NUMBER]}],
        "output": [
            {
                "name": output.name,
                "data_type": _CONFIG_TYPES[output.datatype],
                "dims": list(output.shape),
            }
            for output in outputs
        ],
        "parameters": {
            name: {"string_value": value} for name, value in _parameters(model, limits).items()
        },
    }


def repository_index(catalog: Catalog, *, ready: bool, ready_only: bool) -> list[Json]:
    """The models."""
    if ready_only and not ready:
        return []
    away = {"state": "UNAVAILABLE", "reason": "shutting down or stuck"}
    state = {"state": "READY"} if ready else away
    return [
        {"name": model.name, "version": model.version, **state} for model in catalog.models.values()
    ]


def statistics(records: Iterable[tuple[ServedModel, ModelRecord]]) -> Json:
    """What models have done."""
    return {"model_stats": [_statistics(model, record) for model, record in records]}


def _statistics(model: ServedModel, record: ModelRecord) -> Json:
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": record.last_inference,
        "inference_count": record.texts,
        "execution_count": record.success.count,
        "inference_stats": {
            "success": _duration(record.success),
            "fail": _duration(record.fail),
            "queue": _duration(record.queue),
            "compute_input": _duration(record.tokenize),
            "compute_infer": _duration(record.encode),
            "compute_output": _duration(record.heads),
        },
    }


def _duration(duration: Duration) -> Json:
    return {"count": duration.count, "ns": duration.ns}


def _parameters(model: ServedModel, limits: Limits) -> dict[str, str]:
    """Labels by head, limits, and what a request's parameters may be."""
    values = {
        "offset_unit": f"{' | '.join(UNITS)}; code_point where not given",
        "priority": f"{' | '.join(PRIORITIES)}, or 1 and above; a stream is bulk by default",
        "timeout": "microseconds; no bound beside the deadline where not given",
        "max_texts": str(limits.max_documents),
        "max_text_chars": str(limits.max_text_chars),
        "max_request_chars": str(limits.max_request_chars),
    }
    for head in model.heads:
        prefix = f"{head.name}." if model.name == ALL_TASKS else ""
        values[f"{prefix}kind"] = head.kind
        values[f"{prefix}labels"] = json.dumps(head.labels, ensure_ascii=False)
    return values
