"""What lies at a path, asked in one place, so that whatever the system refuses becomes an error of fluctua's."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from ..errors import FluctuaError, InvalidInput

__all__ = ["Kind", "absolute", "expanded", "kind_of", "printable", "reason", "refuse_irregular"]

Kind = Literal["nothing", "file", "directory", "FIFO", "socket", "character device", "block device"]
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def kind_of(path: Path | str, refusal: type[FluctuaError] = InvalidInput) -> Kind:
    """Return what lies at `path`, symbolic links followed; "nothing" also for a link that leads nowhere.

    Raises
    ------
    refusal
        If the system does not say: no permission on the way, a name too long, a loop of links, a null character, a
        working directory that is gone.
    """
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not Path(path).is_absolute() and _adrift():
            raise refusal(
                f"{printable(path)} is relative to the working directory, and that has been removed. Change "
                f"to one that exists."
            ) from None
        return "nothing"
    except (OSError, ValueError) as error:
        raise refusal(f"{printable(path)} cannot be reached: {reason(error)}. Give a path that can be.") from error
    return _KINDS[stat.S_IFMT(mode)]


def refuse_irregular(path: Path | str, refusal: type[FluctuaError]) -> None:
    """Raise `refusal` if there is something at `path` to which reading as a file would block, or end never."""
    kind = kind_of(path, refusal)
    if kind not in ("file", "nothing"):
        raise refusal(
            f"{printable(path)} is a {kind}, and only a regular file can be read here. Copy what it gives "
            f"into a file first."
        )


def expanded(path: Path | str, refusal: type[FluctuaError] = InvalidInput) -> Path:
    """Return `path` with a leading ~ or ~user replaced; raises `refusal` for a user that there is not."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise refusal(
            f"{printable(path)}: no user has the home directory {Path(path).parts[0]}. Write the path out."
        ) from None


def absolute(path: Path | str) -> Path:
    """Return `expanded` made absolute; raises `InvalidInput` where the working directory is gone."""
    try:
        return expanded(path).absolute()
    except OSError as error:
        raise InvalidInput(
            f"{printable(path)} is relative to the working directory, and that is gone "
            f"({reason(error)}). Change to a directory that exists."
        ) from error


def printable(path: Path | str) -> str:
    """Return a path as text that every encoding of Unicode can hold: bytes of no character become U+FFFD."""
    text = str(path)
    if not _has_surrogates(text):
        return text
    try:
        return os.fsencode(text).decode(errors="replace")
    except UnicodeEncodeError:  # no name that a file could have
        return "".join("\ufffd" if _has_surrogates(letter) else letter for letter in text)


def reason(error: BaseException) -> str:
    """Return the system's reason in an error, without the name and the number that Python puts around it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _adrift() -> bool:
    """Whether the working directory is gone."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
