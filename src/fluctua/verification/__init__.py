"""Theory against simulation."""

from . import heads as _heads  # noqa: F401  (says what `verify` does with them)
