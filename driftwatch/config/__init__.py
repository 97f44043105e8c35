"""Configuration: YAML and environment → frozen Settings, with errors that say where and what to write instead."""

from driftwatch.config.access import MissingSecret, missing_secrets, read_secret, require_secret
from driftwatch.config.loading import load, locate
from driftwatch.config.schema import json_schema
from driftwatch.config.settings import (
    BUNDLED_EMBEDDER,
    AlarmBudget,
    BaselineSettings,
    ConsoleReceiver,
    EmbedderSettings,
    HttpSettings,
    LogSettings,
    Price,
    Settings,
    Simulation,
    SlackReceiver,
    TargetSettings,
)

__all__ = [
    "BUNDLED_EMBEDDER",
    "AlarmBudget",
    "BaselineSettings",
    "ConsoleReceiver",
    "EmbedderSettings",
    "HttpSettings",
    "LogSettings",
    "MissingSecret",
    "Price",
    "Settings",
    "Simulation",
    "SlackReceiver",
    "TargetSettings",
    "json_schema",
    "load",
    "locate",
    "missing_secrets",
    "read_secret",
    "require_secret",
]
