"""Evidence a person can check and forward: one report, as a page, as text, as data, as a bundle for a support desk."""

from __future__ import annotations

from driftwatch.report.bundle import bundle
from driftwatch.report.document import document
from driftwatch.report.dossier import Report, about_incident, about_target
from driftwatch.report.markdown import markdown
from driftwatch.report.page import page
from driftwatch.report.view import View, gather

__all__ = [
    "Report",
    "View",
    "about_incident",
    "about_target",
    "bundle",
    "document",
    "gather",
    "markdown",
    "page",
]
