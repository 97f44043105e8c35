"""Write config/driftwatch.schema.json from the settings classes; ``--check`` only says whether it is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from driftwatch.config import json_schema

FILE = Path(__file__).resolve().parent.parent / "config" / "driftwatch.schema.json"


def main(arguments: list[str]) -> int:
    """Write the schema, or with ``--check`` compare it.

    Returns:
        Exit code: 1 when the file is out of date, 2 for arguments that mean nothing.
    """
    if arguments not in ([], ["--check"]):
        print("usage: python scripts/schema.py [--check]", file=sys.stderr)
        return 2
    wanted = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if arguments:
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"{FILE.name} is out of date: run python scripts/schema.py", file=sys.stderr)
        return 1
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
