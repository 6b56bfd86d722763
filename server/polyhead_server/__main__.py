"""``python -m polyhead_server`` is the command ``polyhead-server``."""

import sys

from polyhead_server.cli import main

sys.exit(main())
