"""A baseline as a file: to be reviewed in version control, and used by another watch of the same question.

``document`` says what is in the file, ``exporting`` makes one from a store, ``reading`` reads one that anybody may
have written, ``importing`` checks that it fits a target and turns it into what the store takes in.
"""

from __future__ import annotations

from driftwatch.exchange.document import Document, dump
from driftwatch.exchange.exporting import export
from driftwatch.exchange.importing import fit
from driftwatch.exchange.reading import read

__all__ = ["Document", "dump", "export", "fit", "read"]
