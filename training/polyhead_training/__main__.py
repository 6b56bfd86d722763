"""``python -m polyhead_training``: the command ``polyhead-train``."""

import sys

from polyhead_training.cli import main

if __name__ == "__main__":
    sys.exit(main())
