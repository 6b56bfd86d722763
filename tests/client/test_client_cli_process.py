"""The command `polyhead` as a process: pipes, signals, terminals, missing parts."""

import os
import pty
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "polyhead"]


@pytest.fixture
def environment(service):
    """The environment of a process that calls the service."""
    return {**os.environ, "POLYHEAD_ADDRESS": service.address, "TERM": "xterm", "COLUMNS": "80"}


def test_a_closed_pipe_ends_it_quietly(environment):
    """`polyhead ... | head -1` leaves no traceback."""
    with subprocess.Popen(
        [*COMMAND, "annotate", "--json", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        process.stdin.write(b"a text\n" * 5000)
        process.stdin.close()
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


def test_an_interrupt_ends_it_quietly(environment, service):
    """Ctrl-C in the middle of a call leaves one line and exit code 130."""
    with (
        service.hold(),
        subprocess.Popen(
            [*COMMAND, "annotate", "x"], stderr=subprocess.PIPE, env=environment
        ) as process,
    ):
        service.wait_held(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"polyhead: interrupted\n"


def test_an_interrupt_of_a_stream_ends_it_quietly(environment, service):
    """Ctrl-C while a stream waits does too."""
    with (
        service.hold(),
        subprocess.Popen(
            [*COMMAND, "annotate", "-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process,
    ):
        process.stdin.write(b"x\n")
        process.stdin.close()
        service.wait_held(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"polyhead: interrupted\n"


def test_a_line_is_answered_before_the_next_one_comes(environment):
    """What trickles in is answered as it comes, not one line late; the last needs no end."""
    with subprocess.Popen(
        [*COMMAND, "annotate", "--json", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        for written, expected in ((b"one\n", [b"one"]), (b"two\nthree\n", [b"two", b"three"])):
            process.stdin.write(written)
            process.stdin.flush()
            for text in expected:
                assert b'"text": "' + text + b'"' in process.stdout.readline()
        process.stdin.write(b"last")
        process.stdin.close()
        assert b'"text": "last"' in process.stdout.readline()
        assert process.wait(20) == 0


def test_without_rich_there_is_a_hint():
    """The command without its extra says how to get it, in one line."""
    code = (
        "import sys; sys.modules['rich'] = None; from polyhead._cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install rich" in done.stderr


@pytest.mark.parametrize(("lines", "shown"), [(3000, True), (1, False)])
def test_progress_is_shown_on_a_terminal(environment, tmp_path, lines, shown):
    """On a terminal there is a bar on stderr for several documents, and none for one."""
    path = tmp_path / "texts.txt"
    path.write_text("a text\n" * lines)
    ours, theirs = pty.openpty()
    printed = tmp_path / "printed.jsonl"
    with (
        printed.open("wb") as file,
        subprocess.Popen(
            [*COMMAND, "annotate", "--json", "--file", path],
            stdout=file,
            stderr=theirs,
            env=environment,
        ) as process,
    ):
        os.close(theirs)
        assert (b"annotating" in _read_all(ours)) is shown
        assert process.wait(20) == 0
    os.close(ours)
    assert printed.read_bytes().count(b"\n") == lines


def _read_all(terminal):
    """Give what was written to a terminal whose other end is closed."""
    read = b""
    try:
        while chunk := os.read(terminal, 65536):
            read += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    return read


def test_output_that_is_not_utf8(environment):
    """Under an encoding without our characters nothing breaks."""
    environment = {**environment, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for options in ([], ["--json"]):
        done = subprocess.run(
            [*COMMAND, "annotate", "é 😀", *options],
            capture_output=True,
            env=environment,
            check=True,
        )
        assert done.stdout.isascii()
        assert b"bundle" in done.stdout
