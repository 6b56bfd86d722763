"""The server of polyhead: many task heads on one shared text encoder, over gRPC, on CPU."""

import sys

# OpenVINO would send telemetry at its import, from a forked copy of the process that it ends by
# SIGTERM where nothing answers: the copy shares the pipe by which our event loop hears of signals,
# so that the server would take it for its own order to stop. Without the module nothing is sent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
