"""The terminal that commands print their results on."""

from rich.console import Console

_FILE_COLUMNS = 140


def open_console() -> Console:
    """Standard output; in a file or a pipe wide enough to cut no table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_COLUMNS)
