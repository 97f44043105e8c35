"""The error tree: one sentence each, an exit code each, all caught by their root."""

from __future__ import annotations

import inspect

import pytest

from driftwatch import errors
from driftwatch.domain import Outcome
from driftwatch.errors import ConfigError, DeliveryError, DriftwatchError, ProviderError

ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]
PROVIDER = [cls for cls in ALL if issubclass(cls, ProviderError)]


def test_the_tree_is_drawn_in_full_at_the_top_of_its_module():
    assert len(ALL) > 10
    assert [cls.__name__ for cls in ALL if cls.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("cls", ALL)
def test_every_error_is_a_driftwatch_error_with_an_exit_code(cls):
    assert issubclass(cls, DriftwatchError)
    assert cls.exit_code == (2 if cls.__name__ in {"ConfigError", "UsageError"} else 3)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "unknown key 'modle'"),
        ({"file": "d.yaml"}, "d.yaml: unknown key 'modle'"),
        ({"file": "d.yaml", "line": 7}, "d.yaml:7: unknown key 'modle'"),
        ({"line": 7}, "unknown key 'modle'"),
        ({"key": "targets.a"}, "targets.a: unknown key 'modle'"),
        ({"instead": "did you mean 'model'?"}, "unknown key 'modle'; did you mean 'model'?"),
        (
            {"file": "d.yaml", "line": 7, "key": "targets.a", "instead": "did you mean 'model'?"},
            "d.yaml:7: targets.a: unknown key 'modle'; did you mean 'model'?",
        ),
    ],
)
def test_a_config_error_says_where_what_and_what_to_write_instead(told, sentence):
    error = ConfigError("unknown key 'modle'", **told)
    assert str(error) == sentence
    assert (error.problem, error.file, error.line, error.key, error.instead) == (
        "unknown key 'modle'",
        *(told.get(name) for name in ("file", "line", "key", "instead")),
    )


@pytest.mark.parametrize("cls", PROVIDER)
def test_a_provider_error_carries_the_outcome_its_completion_gets(cls):
    error = cls("the endpoint is overloaded", outcome=Outcome.UNAVAILABLE, retry_after_s=3.0)
    assert str(error) == "the endpoint is overloaded"
    assert (error.outcome, error.retry_after_s) == (Outcome.UNAVAILABLE, 3.0)
    assert cls("x", outcome=Outcome.TIMEOUT).retry_after_s is None


def test_only_what_can_pass_by_itself_is_retried():
    assert {cls.__name__ for cls in PROVIDER if cls.retryable} == {
        "ProviderConnection",
        "ProviderUnavailable",
        "RateLimited",
    }


def test_a_delivery_error_names_the_receiver_and_whether_trying_again_can_help():
    error = DeliveryError("Slack said 503", receiver="team", retryable=True, retry_after_s=30.0)
    assert str(error) == "Slack said 503"
    assert (error.receiver, error.retryable, error.retry_after_s) == ("team", True, 30.0)
    assert DeliveryError("gone", receiver="team", retryable=False).retry_after_s is None
