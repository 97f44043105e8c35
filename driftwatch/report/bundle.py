"""A zip for the provider's support desk: what happened, every request that shows it, and nothing that is private."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

from driftwatch import __version__
from driftwatch.domain import Incident, Json, Target
from driftwatch.report.document import document, plain
from driftwatch.report.dossier import Report, about_incident
from driftwatch.report.letter import letter
from driftwatch.report.markdown import markdown
from driftwatch.report.requests import Asked, as_csv, as_jsonl, asked, prompts
from driftwatch.report.sharing import fingerprint, shareable
from driftwatch.store import Store

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can say; every file has it, so that the same evidence makes the same bytes."""

MODE = 0o100644 << 16
"""A plain file that everybody may read, in the upper half of a zip's external attributes."""


def bundle(store: Store, targets: Mapping[str, Target], incident: Incident) -> bytes:
    """The zip file; the same store, config and release make the same bytes.

    Args:
        store: read only.
        targets: those configured, by name: their suites say what is private. What has left the suites counts as that.
        incident: any of its group.
    """
    found = about_incident(store, targets, incident)
    requests = asked(store, targets, [view.incident for view in found.members if view.incident])
    # A sentence that a private canary drew as well is no private text: the other one got it without.
    errors = {request.completion.error for request in requests if not request.is_private}
    report = shareable(found, errors={error for error in errors if error})
    files = {
        "README.txt": letter(report, requests),
        "report.md": markdown(report),
        "incident.json": _json(document(report)),
        "requests.csv": as_csv(requests),
        "requests.jsonl": as_jsonl(requests),
        "prompts.jsonl": prompts(requests),
    }
    files["manifest.json"] = _json(_manifest(report, files, requests))
    return _zipped(files)


def _manifest(report: Report, files: Mapping[str, str], requests: Sequence[Asked]) -> dict[str, Json]:
    return {
        "format": "driftwatch-bundle/1",
        "driftwatch": __version__,
        "incident": report.number,
        "n_requests": len(requests),
        "n_private": sum(request.is_private for request in requests),
        "files": {
            name: {"sha256": fingerprint(content), "bytes": len(content.encode("utf-8", "surrogatepass"))}
            for name, content in files.items()
        },
    }


def _json(value: Json) -> str:
    return json.dumps(plain(value), indent=2, sort_keys=True) + "\n"


def _zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, MODE, 3
            archive.writestr(entry, content.encode("utf-8", "surrogatepass"))
    return buffer.getvalue()
