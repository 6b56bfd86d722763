"""Who may call, as whom, how much, and which bundles are to be trusted."""
