"""`python -m polyhead` is the command `polyhead`."""

import sys

from polyhead._cli import main

if __name__ == "__main__":
    sys.exit(main())
