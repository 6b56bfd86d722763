"""Bundles that come and go while the server serves.

A `Served` is one loaded bundle with all that it takes to answer calls. The `Roster` has them, and
leads each call to one by the `Traffic`; `shadow` copies work to others. `Candidates` loads bundles,
and changes the roster; it does so for a `Rollout`, which is told what to do by a signal, by the
`Watch` on a folder, or by the admin port. Where there are several workers, each has its candidates,
and the one rollout is the supervisor's.
"""
