"""How many cores and replicas a load needs, and what it costs: `polyhead-server plan`."""
