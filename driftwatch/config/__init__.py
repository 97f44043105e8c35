"""Configuration: YAML and environment → frozen Settings, with errors that say where and what to write instead."""

from driftwatch.config.access import MissingSecret, missing_secrets, read_secret, require_secret
from driftwatch.config.loading import load, locate
from driftwatch.config.provider_rules import yaml_of
from driftwatch.config.schema import json_schema
from driftwatch.config.settings import (
    BUNDLED_EMBEDDER,
    AlarmBudget,
    BaselineSettings,
    ConsoleReceiver,
    EmbedderSettings,
    HttpSettings,
    LogSettings,
    Settings,
    Simulation,
    SlackReceiver,
    TargetSettings,
)
from driftwatch.config.spending import Budget, FleetBudget, Limits, Price

__all__ = [
    "BUNDLED_EMBEDDER",
    "AlarmBudget",
    "BaselineSettings",
    "Budget",
    "ConsoleReceiver",
    "EmbedderSettings",
    "FleetBudget",
    "HttpSettings",
    "Limits",
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
    "yaml_of",
]
