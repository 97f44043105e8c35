"""driftwatch notices when an LLM endpoint starts to behave differently under an unchanged model name."""

__version__ = "0.1.0"
