"""What an acceptance would do, worked out before anybody decides: nothing here is written.

``looking`` gathers it, ``backtests`` counts the alarms that there would have been.
"""

from __future__ import annotations

from driftwatch.preview.backtests import Backtest
from driftwatch.preview.looking import CanaryPreview, Preview, Resolved, Unusual, preview

__all__ = ["Backtest", "CanaryPreview", "Preview", "Resolved", "Unusual", "preview"]
