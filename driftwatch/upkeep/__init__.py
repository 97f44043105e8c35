"""Watch the watch: its own troubles, a watchdog over the scheduler, and the heartbeat that is missed when all fails.

``Upkeep`` looks once per tick and turns what it finds into incidents. ``Watchdog`` looks from a thread of its own: a
blocked loop does not get to look at itself. ``LastWords`` tell what cannot be stored. ``Heartbeat`` tells somebody
outside that all is well. ``Caretaker`` has the four of them.
"""

from driftwatch.upkeep.caretaking import Caretaker
from driftwatch.upkeep.health import Health
from driftwatch.upkeep.heartbeat import Heartbeat
from driftwatch.upkeep.keeping import Upkeep
from driftwatch.upkeep.last_words import LastWords
from driftwatch.upkeep.watchdog import Watchdog

__all__ = ["Caretaker", "Health", "Heartbeat", "LastWords", "Upkeep", "Watchdog"]
