"""Real faults against real servers on loopback: what `make chaos` runs, and CI in short."""
