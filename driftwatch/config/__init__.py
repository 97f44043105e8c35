"""Configuration: YAML and environment → frozen Settings, with errors that say where and what to write instead."""

from driftwatch.config.access import MissingSecret, missing_secrets, read_secret, require_secret
from driftwatch.config.alerting import Alerts, Heartbeat, Match
from driftwatch.config.loading import load, locate
from driftwatch.config.provider_rules import yaml_of
from driftwatch.config.receivers import RECEIVERS, options_of, secrets_of
from driftwatch.config.schema import json_schema
from driftwatch.config.settings import (
    BUNDLED_EMBEDDER,
    AlarmBudget,
    BaselineSettings,
    EmbedderSettings,
    HttpSettings,
    LogSettings,
    Settings,
    Simulation,
    TargetSettings,
)
from driftwatch.config.spending import Budget, FleetBudget, Limits, Price

__all__ = [
    "BUNDLED_EMBEDDER",
    "RECEIVERS",
    "AlarmBudget",
    "Alerts",
    "BaselineSettings",
    "Budget",
    "EmbedderSettings",
    "FleetBudget",
    "Heartbeat",
    "HttpSettings",
    "Limits",
    "LogSettings",
    "Match",
    "MissingSecret",
    "Price",
    "Settings",
    "Simulation",
    "TargetSettings",
    "json_schema",
    "load",
    "locate",
    "missing_secrets",
    "options_of",
    "read_secret",
    "require_secret",
    "secrets_of",
    "yaml_of",
]
