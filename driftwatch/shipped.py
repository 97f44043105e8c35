"""Where the files that come with driftwatch are: example configs, the demo and the starter suites."""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "_shipped"
"""In a wheel: the build copies ``config/`` and ``canaries/`` here."""

_CHECKOUT = Path(__file__).parent.parent


def path(name: str) -> Path:
    """The place of a shipped file or directory such as ``config/demo.yaml`` or ``canaries``.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for root in (_PACKAGED, _CHECKOUT):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(name)
