"""OpenVINO's entry, one for a process.

Its CPU plugin gives the thread that loads it another stack for signal handlers, and unmaps that
stack with the last user of the plugin. Where this happens in another thread, the first one keeps a
stack that is not there, and the next signal ends the process, SIGTERM and SIGHUP too. So the plugin
is never unloaded.
"""

from __future__ import annotations

import threading

import openvino as ov

_lock = threading.Lock()
_cores: list[ov.Core] = []


def shared_core() -> ov.Core:
    """The process's only one, for use by all threads."""
    with _lock:
        if not _cores:
            core = ov.Core()
            # A file that is mapped and then cut short would end the process: bundles are replaced.
            core.set_property({"ENABLE_MMAP": False})
            _cores.append(core)
        return _cores[0]
