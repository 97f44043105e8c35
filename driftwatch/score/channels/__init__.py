"""The channels driftwatch measures, one per file, and the dict that lists them.

The dict is here and not in ``driftwatch.score`` itself, which re-exports it: ``reference`` reads it and is in turn
read by ``driftwatch.score``.
"""

from __future__ import annotations

from driftwatch.score.channel import Channel
from driftwatch.score.channels.checks import CHECKS_CHANNEL
from driftwatch.score.channels.label import LABEL
from driftwatch.score.channels.latency import LATENCY
from driftwatch.score.channels.logprob import LOGPROB
from driftwatch.score.channels.meaning import MEANING
from driftwatch.score.channels.novelty import NOVELTY
from driftwatch.score.channels.prefix import PREFIX
from driftwatch.score.channels.shape import SHAPE
from driftwatch.score.channels.spread import SPREAD
from driftwatch.score.channels.surprise import SURPRISE
from driftwatch.score.channels.tokens import TOKENS
from driftwatch.score.channels.tools import TOOLS
from driftwatch.score.channels.wording import WORDING

CHANNELS: dict[str, Channel] = {
    "label": LABEL,
    "surprise": SURPRISE,
    "prefix": PREFIX,
    "wording": WORDING,
    "meaning": MEANING,
    "shape": SHAPE,
    "checks": CHECKS_CHANNEL,
    "tools": TOOLS,
    "spread": SPREAD,
    "novelty": NOVELTY,
    "logprob": LOGPROB,
    "latency": LATENCY,
    "tokens": TOKENS,
}
"""Channel name → channel. A new channel is one file beside this one and one line here."""
