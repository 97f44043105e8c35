"""Remember: the only seam to the database.

``Store`` is loaded when it is first asked for, because SQLModel takes .4 s that ``driftwatch --help`` has no use for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftwatch.store.baselines import BaselineChange
    from driftwatch.store.brought_in import BroughtIn, BroughtRun
    from driftwatch.store.store import Store

__all__ = ["BaselineChange", "BroughtIn", "BroughtRun", "Store"]


def __getattr__(name: str) -> object:
    if name == "Store":
        from driftwatch.store.store import Store  # noqa: PLC0415 - imports SQLModel, see above

        return Store
    if name == "BaselineChange":
        from driftwatch.store.baselines import BaselineChange  # noqa: PLC0415 - imports SQLModel, see above

        return BaselineChange
    if name in {"BroughtIn", "BroughtRun"}:
        from driftwatch.store import brought_in  # noqa: PLC0415 - imports SQLModel, see above

        return getattr(brought_in, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
