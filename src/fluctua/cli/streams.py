"""Standard output that outlives its reader, and errors that are told if anyone can hear them.

A reader that has gone (`| head -1`), or an output closed from the start (`>&-`), is no failure: what is printed is
dropped, the work is done, saved and judged, and the exit code is the command's own. An output that is full is one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from ..errors import OutputError
from ..storage.paths import reason

__all__ = ["streams"]

_GONE = {errno.EPIPE, errno.ESHUTDOWN, errno.EIO, errno.EBADF}
if sys.platform == "win32":
    _GONE |= {errno.EINVAL}  # what it says of a closed pipe


class _Sink(io.BufferedIOBase):
    """Bytes for a stream, dropped from the moment on that it takes no more."""

    def __init__(self, stream: Any, essential: bool) -> None:
        self.stream, self.essential, self.open = stream, essential, True

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.open and bool(self.stream.isatty())

    def fileno(self) -> int:
        return int(self.stream.fileno())

    def write(self, data: Any) -> int:
        self._tried(lambda: self.stream.write(data))
        return memoryview(data).nbytes

    def flush(self) -> None:
        self._tried(self.stream.flush)

    def _tried(self, act: Any) -> None:
        if not self.open:
            return
        try:
            act()
        except OSError as error:
            self._give_up()
            if self.essential and error.errno not in _GONE:
                raise OutputError(
                    f"cannot write to the standard output: {reason(error)}. Free some space, or send it "
                    f"elsewhere; what was saved is whole."
                ) from error

    def _give_up(self) -> None:
        """Send what is still buffered nowhere, or Python would fail on it when it ends."""
        self.open = False
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Put `sys.stdout` and `sys.stderr` behind what the module promises, for as long as the body runs."""
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        try:
            sys.stdout = _guarded(sys.stdout, stack, essential=True)
            sys.stderr = _guarded(sys.stderr, stack, essential=False)
            yield
        finally:
            sys.stdout, sys.stderr = before


def _guarded(stream: TextIO | None, stack: contextlib.ExitStack, essential: bool) -> TextIO:
    if stream is None:  # closed; what is opened now takes its number, so that no file of ours does
        return stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
    if not hasattr(stream, "buffer"):
        return stream
    errors = "backslashreplace" if stream.errors == "strict" else stream.errors
    sink: Any = _Sink(stream.buffer, essential)
    text = io.TextIOWrapper(sink, stream.encoding, errors, line_buffering=True)
    stack.callback(text.detach)  # the sink's stream is not ours to close
    return text
