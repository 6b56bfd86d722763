"""What a server says when it is ready."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server says about itself when it is ready."""

    address: str
    bundle: str
    bundle_version: str
    tasks: tuple[str, ...]
    metrics: str | None
    """URL of the metrics; None where none are served."""
    inference: str | None = None
    """URL of the Open Inference Protocol over HTTP; None where it is not served."""
    admin: str | None = None
    """Address of the admin port; None where there is none."""

    def __str__(self) -> str:
        metrics = f" metrics {self.metrics}" if self.metrics else ""
        metrics += f" inference {self.inference}" if self.inference else ""
        metrics += f" admin {self.admin}" if self.admin else ""
        heads = ",".join(self.tasks)
        return (
            f"polyhead ready on {self.address} bundle {self.bundle} {self.bundle_version} "
            f"heads {heads}{metrics}"
        )
