"""Several processes that serve one port, and the one that looks after them.

`supervisor` keeps the processes, each of them a `worker` there and `process` on its own side; what
they say to each other goes as lines of JSON over one socket (`lifeline`). `ports` picks what they
share, `snapshot` and `totals` make one set of metrics of theirs.
"""
