"""One bad file per rule of the configuration, each with the exact words a person gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.config import load
from driftwatch.errors import ConfigError
from driftwatch.providers import PROVIDERS

FILES = Path(__file__).parent.parent / "data" / "bad_config"
SAID = {
    "alertmanager_label_name": (
        ":6: receivers.oncall.labels.data-center: not a label name; take letters, digits and '_', no digit first"
    ),
    "alertmanager_own_label": (
        ":6: receivers.oncall.labels.severity: driftwatch fills this label itself; choose another name"
    ),
    "alertmanager_two_places": (
        ":6: receivers.oncall: the Authorization header has more than one place; "
        "keep authorization_env or authorization_file"
    ),
    "alertmanager_without_url": ":6: receivers.oncall.base_url: missing; write base_url: http://127.0.0.1:9093",
    "alias_without_anchor": ":5: an alias (*name) without its anchor; put text that begins with * in quotes",
    "anchors_too_few": ":6: baseline.anchors: out of range; write at least 2",
    "attempts_too_many": ":5: targets.support.attempts: out of range; write at most 5",
    "backslash": ":5: a backslash that YAML does not know; use single quotes",
    "base_url_bad_port": (
        ":5: targets.local.base_url: not an http:// or https:// URL; write one like https://api.openai.com/v1"
    ),
    "base_url_missing": (
        ":2: targets.local.base_url: missing; provider openai_compatible needs it; "
        "write base_url: http://127.0.0.1:8000/v1"
    ),
    "base_url_of_azure_missing": (
        ":2: targets.support.base_url: missing; provider azure_openai needs it; "
        "write base_url: https://my-resource.openai.azure.com/openai/v1"
    ),
    "base_url_other_scheme": (
        ":5: targets.local.base_url: not an http:// or https:// URL; write one like https://api.openai.com/v1"
    ),
    "base_url_with_fragment": (
        ":5: targets.local.base_url: a URL must not hold a '#': nothing behind it is sent; "
        "write one like https://api.openai.com/v1"
    ),
    "base_url_with_key": (
        ":5: targets.local.base_url: a URL must not hold credentials; "
        "send them as a header: headers: {X-Header: NAME_OF_A_VARIABLE}"
    ),
    "base_url_with_password": (
        ":5: targets.local.base_url: a URL must not hold credentials; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "base_url_with_space": (
        ":5: targets.local.base_url: not an http:// or https:// URL; write one like https://api.openai.com/v1"
    ),
    "base_url_without_scheme": (
        ":5: targets.local.base_url: not an http:// or https:// URL; write one like https://api.openai.com/v1"
    ),
    "budget_a_number": ":5: targets.support.budget: must be a mapping; write budget: {usd_per_day: 2}",
    "budget_cap_negative": ":6: targets.support.budget.usd_per_day: out of range; write a number above 0",
    "budget_cap_of_part_of_a_request": (
        ":6: targets.support.budget.requests_per_day: must be a whole number; write requests_per_day: 2000"
    ),
    "budget_cap_zero": ":6: targets.support.budget.requests_per_run: out of range; write at least 1",
    "budget_of_all_per_run": ":6: budget.usd_per_run: unknown key; did you mean 'usd_per_month'?",
    "budget_scope_unknown": ":6: alarm_budget.scope: unknown value 'targets'; did you mean 'target'?",
    "budget_unknown_cap": ":6: targets.support.budget.usd_per_year: unknown key; did you mean 'usd_per_day'?",
    "budget_zero": ":6: alarm_budget.false_alarms_per_year: out of range; write a number above 0",
    "burst_in_words": ":5: targets.support.burst: must be true or false; write burst: true",
    "calibration_too_short": ":6: baseline.calibration_runs: out of range; write at least 20",
    "canaries_empty": ":5: canaries: must not be empty; write canaries: [canaries]",
    "chance_of_one": ":6: alarm_budget.chance_of_any_per_year: out of range; write a number below 1",
    "colon_in_value": ":5: a colon or an indentation that does not fit; indent alike, and quote ': ' in values",
    "command_empty": (
        ":6: receivers.oncall.command: must not be empty; write command: [/usr/local/bin/page, --team, support]"
    ),
    "command_in_one_text": (
        ":6: receivers.oncall.command: must be a list; write command: [/usr/local/bin/page, --team, support]"
    ),
    "command_in_one_word": (
        ":6: receivers.oncall.command[0]: a program and its arguments in one: no shell takes them apart; "
        "write each as an entry of its own: command: [program, argument]"
    ),
    "concurrency_zero": ":5: targets.support.concurrency: out of range; write at least 1",
    "connect_timeout_in_words": ":5: targets.support.connect_timeout: not a duration; write 30s, 15m, 1h or 7d",
    "control_character": ":3: a character that cannot be printed; remove it",
    "control_at_the_same_place": (
        ":5: targets.support.controls.support-cold: it is the same model at the same place, so that it moves whatever "
        "the cause; name a target at another host"
    ),
    "control_itself": (
        ":5: targets.support.controls.support: a target is no control for itself; name another target, or remove it"
    ),
    "control_role_misspelled": (
        ":5: targets.support.controls.support-azure: unknown value 'same-model'; did you mean 'same_model'?"
    ),
    "control_unknown": (
        ":5: targets.support.controls.support-azzure: unknown target 'support-azzure'; did you mean 'support-azure'?"
    ),
    "control_unlike_any": (
        ":5: targets.support.controls.gateway: unknown target; the targets are support, support-azure"
    ),
    "control_with_other_suites": (
        ":6: targets.support.controls.support-azure: it is asked other suites, so that it could not show the same "
        "change; give support-azure the suites of support"
    ),
    "controls_a_list": (":5: targets.support.controls: must be a mapping; write controls: {support-azure: same_model}"),
    "defaults_a_list": ":1: defaults: must be a mapping; write defaults: {interval: 1h}",
    "discord_without_a_way": (
        ":6: receivers.oncall: no way to reach Discord; write webhook_url_env: DISCORD_WEBHOOK_URL"
    ),
    "duplicate_key": ":6: targets.support.interval: given twice, first on line 5; keep one of the two",
    "email_address": ":6: receivers.oncall.from: not an e-mail address; write one like oncall@example.com",
    "email_addresses_in_one": (":6: receivers.oncall.to[0]: not an e-mail address; write one like oncall@example.com"),
    "email_password_in_clear": (
        ":6: receivers.oncall.security: the password would cross the network in clear; "
        "write security: starttls or security: tls"
    ),
    "email_password_without_user": (
        ":6: receivers.oncall: a password without its user; write user: and the name to log in as"
    ),
    "email_port": ":6: receivers.oncall.port: out of range; write at least 1",
    "email_security": ":6: receivers.oncall.security: unknown value 'startls'; did you mean 'starttls'?",
    "email_to_nobody": ":6: receivers.oncall.to: must not be empty; write to: [oncall@example.com]",
    "email_user_without_password": ":6: receivers.oncall.user: has no password; write password_env: SMTP_PASSWORD",
    "embedder_a_number": ":5: embedder: must be a mapping; write embedder: all-MiniLM-L6-v2",
    "embedder_misspelled": (
        ":5: embedder: a model that is not bundled needs a revision; did you mean 'all-MiniLM-L6-v2'?"
    ),
    "embedder_revision_of_bundled": ":5: embedder.revision: all-MiniLM-L6-v2 has none to choose; remove it",
    "embedder_unpinned": (
        ":5: embedder: a model that is not bundled needs a revision; "
        "write embedder: {model: name or folder, revision: commit}"
    ),
    "empty": ": the file is empty; run `driftwatch init` for one to start from",
    "endless_alias": ":1: too many or too deep values; write aliases (*name) out",
    "failure_threshold_text": ":5: failure_threshold: must be a whole number; write failure_threshold: 3",
    "field_name_instead_of_key": ":5: targets.support.interval_s: unknown key; did you mean 'interval'?",
    "header_name": ":6: targets.support.headers.X Team: not a header name; take letters, digits and '-'",
    "infinite_number": (
        ":5: targets.support.parameters.temperature: not a number that JSON carries; write a smaller one"
    ),
    "inherited_jitter_too_long": (
        ":2: targets.support.jitter: not shorter than the interval; write a tenth of the interval"
    ),
    "interval_in_words": ":5: targets.support.interval: not a duration; write 30s, 15m, 1h or 7d",
    "interval_negative": ":5: targets.support.interval: a duration must be longer than zero; write 30s, 15m, 1h or 7d",
    "interval_of_years": ":5: targets.support.interval: longer than makes sense here; write at most 366d",
    "interval_too_short": ":5: targets.support.interval: shorter than a minute; write at least 60s",
    "interval_zero": ":5: targets.support.interval: a duration must be longer than zero; write 30s, 15m, 1h or 7d",
    "jitter_as_long_as_interval": (
        ":6: targets.support.jitter: not shorter than the interval; write a tenth of the interval"
    ),
    "key_among_options": (
        ":6: targets.support.options.base_url: a key of the target is no option; "
        "write it beside `options:`, not under it"
    ),
    "key_not_text": ":5: targets: a key that is not text; put the key in quotes",
    "limit_misspelled": (
        ":6: targets.support.limits.requests_per_second: unknown key; did you mean 'requests_per_minute'?"
    ),
    "limit_zero": ":6: targets.support.limits.requests_per_minute: out of range; write at least 1",
    "log_format_unknown": ":6: log.format: unknown value; write console or json",
    "log_level_unknown": ":6: log.level: unknown value 'infos'; did you mean 'info'?",
    "lone_surrogate": ":5: targets.support.owner: half of a character (a lone surrogate); write the whole character",
    "merge_key": ":6: targets.support: a merge key (<<); put keys that targets share under `defaults:`",
    "model_a_number": ":4: targets.support.model: must be text; put the value in quotes",
    "model_as_parameter": (
        ":6: targets.support.parameters.model: driftwatch fills this itself; write the key `model` of the target"
    ),
    "model_blank": ":4: targets.support.model: must not be blank; write model: gpt-4o-mini",
    "model_missing": ":2: targets.support.model: missing; write model: gpt-4o-mini",
    "no_targets": ": targets: missing; write targets: {support: {provider: openai, model: gpt-4o-mini}}",
    "no_value": ":5: targets.support.interval: has no value; give it one or remove it",
    "not_a_mapping": ":1: not a mapping; write `key: value` lines",
    "not_key_value": ":6: a line that is neither a key nor an entry; write `key: value`",
    "not_utf8": ":4: not UTF-8; save the file as UTF-8",
    "only_comments": ": the file is empty; run `driftwatch init` for one to start from",
    "option_a_number": ":6: targets.support.options.project: must be text; put the value in quotes",
    "option_a_text": (
        ':8: targets.support.options.request: must be a mapping; write request: {question: "{{prompt}}"}'
    ),
    "option_beside_options": (
        ":5: targets.support.project: an option of provider vertex; write options: {project: my-project}"
    ),
    "option_empty": ":6: targets.support.options.project: must not be empty; write project: my-project",
    "option_inherited_that_nobody_knows": (
        ":2: targets.support.options.region: provider mistral takes no options; remove it"
    ),
    "option_missing": (
        ":2: targets.support.options.project: missing; provider vertex needs it; write options: {project: my-project}"
    ),
    "option_misspelled": ":6: targets.support.options.regoin: unknown option 'regoin'; did you mean 'region'?",
    "option_of_a_provider_without_any": (
        ":6: targets.support.options.region: provider mistral takes no options; remove it"
    ),
    "option_template_missing": (
        ":6: targets.support.options.request: missing; provider http needs it; "
        'write options: {request: {question: "{{prompt}}"}}'
    ),
    "option_unlike_any": (
        ":7: targets.support.options.colour: unknown option; the options of vertex are location, project"
    ),
    "options_a_list": ":5: targets.support.options: must be a mapping; write options: {location: europe-west4}",
    "pagerduty_two_places": (
        ":6: receivers.oncall: the routing key has more than one place; keep routing_key_env or routing_key_file"
    ),
    "pagerduty_without_a_way": (
        ":6: receivers.oncall: no way to reach PagerDuty; write routing_key_env: PAGERDUTY_ROUTING_KEY"
    ),
    "parameter_among_options": (
        ":6: targets.support.options.temperature: a sampling parameter is no option; "
        "write it under parameters: {temperature: …}"
    ),
    "parameter_beside_parameters": (
        ":5: targets.support.temperature: a sampling parameter; write it under parameters: {temperature: …}"
    ),
    "parameter_beside_parameters_of_nobody": (
        "parameter_beside_parameters_of_nobody.yaml:2: targets.support.provider: missing; write provider: openai\n"
        "parameter_beside_parameters_of_nobody.yaml:4: targets.support.temperature: a sampling parameter; "
        "write it under parameters: {temperature: …}"
    ),
    "parameters_a_list": ":5: targets.support.parameters: must be a mapping; write parameters: {temperature: 0}",
    "port_too_high": ":6: http.port: out of range; write at most 65535",
    "price_negative": ":5: targets.support.price.output: out of range; write at least 0",
    "price_without_output": ":5: targets.support.price.output: missing; write output: 0.6",
    "provider_by_another_name": ":3: targets.support.provider: unknown provider 'Azure'; did you mean 'azure_openai'?",
    "provider_misspelled": ":3: targets.support.provider: unknown provider 'opnai'; did you mean 'openai'?",
    "provider_that_speaks_chat": (
        ":3: targets.support.provider: unknown provider 'lm_studio'; "
        "write provider: openai_compatible with base_url: http://127.0.0.1:1234/v1"
    ),
    "provider_unlike_any": (
        f":3: targets.support.provider: unknown provider; the providers are {', '.join(sorted(PROVIDERS))}"
    ),
    "proxy_in_the_file": ":5: targets.support.proxy: unknown key; did you mean 'proxy_env'?",
    "receiver_a_text": ":6: receivers.oncall: must be a mapping; compare it with config/driftwatch.yaml",
    "receiver_misspelled": ":5: targets.support.receivers[0]: unknown receiver 'onclal'; did you mean 'oncall'?",
    "receiver_type_missing": ":6: receivers.oncall.type: missing; write type: slack or type: console",
    "receiver_type_misspelled": ":6: receivers.oncall.type: unknown value 'slak'; did you mean 'slack'?",
    "receiver_type_unlike_any": (
        ":6: receivers.oncall.type: unknown value; "
        "write slack or pagerduty or alertmanager or teams or discord or webhook or email or command or console"
    ),
    "receiver_unknown_key": (
        ":6: receivers.oncall.colour: unknown key; the keys here are send_on_resolved, timeout, type"
    ),
    "receiver_unlike_any": ":5: targets.support.receivers[0]: unknown receiver; the receivers are oncall",
    "receiver_without_any_defined": ":5: targets.support.receivers[0]: unknown receiver; define it under receivers:",
    "repeats_fraction": ":5: targets.support.repeats: must be a whole number; write repeats: 1",
    "repeats_quoted": ":5: targets.support.repeats: must be a whole number; write repeats: 1",
    "repeats_too_many": ":5: targets.support.repeats: out of range; write at most 20",
    "repeats_zero": ":5: targets.support.repeats: out of range; write at least 1",
    "requests_per_connection_negative": ":5: targets.support.requests_per_connection: out of range; write at least 0",
    "reserved_character": ":5: a value begins with a character that YAML reserves; put the value in quotes",
    "reserved_parameter": (
        ":7: targets.support.parameters.stream: driftwatch fills this itself; write the key `stream` of the target"
    ),
    "retention_zero": ":5: retention_days: out of range; write at least 1",
    "retirement_notice_in_words": (
        ":5: retirement_notice_days: must be a whole number; write retirement_notice_days: 30"
    ),
    "script_missing": (
        ":2: targets.demo.script: missing; provider simulated needs it; "
        "write script: and the file that says how the endpoint behaves"
    ),
    "script_of_a_real_target": (
        ":5: targets.support.script: only for provider simulated; remove it, or write provider: simulated"
    ),
    "secret_api_key": (
        ":5: targets.support.api_key: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "secret_as_key": (
        ":5: targets.support.…: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "secret_as_proxy": (
        ":5: targets.support.proxy_env: a secret does not belong in this file; "
        "name the environment variable: proxy_env: WATCH_PROXY"
    ),
    "secret_as_variable_name": (
        ":5: targets.support.api_key_env: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "secret_bot_token": (
        ":8: receivers.oncall.bot_token: a secret does not belong in this file; "
        "name the environment variable: bot_token_env: SLACK_BOT_TOKEN"
    ),
    "secret_in_header": (
        ":6: targets.support.headers.Authorization: a secret does not belong in this file; "
        "name the environment variable: Authorization: NAME_OF_A_VARIABLE"
    ),
    "secret_in_list": (
        ":5: targets.support.suites[0]: a secret does not belong in this file; "
        "name an environment variable where a secret is needed: api_key_env: OPENAI_API_KEY"
    ),
    "secret_in_parameters": (
        ":6: targets.support.parameters.extra.key: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "secret_in_receiver_header": (
        ":6: receivers.oncall.headers.Authorization: a secret does not belong in this file; "
        "name the environment variable: Authorization: NAME_OF_A_VARIABLE"
    ),
    "secret_in_template": (
        ":9: targets.support.options.request.api_key: a secret does not belong in this file; "
        "send it as a header, whose value a variable holds: headers: {X-Header: NAME_OF_A_VARIABLE}"
    ),
    "secret_password": (
        ":6: receivers.oncall.password: a secret does not belong in this file; "
        "name the environment variable: password_env: SMTP_PASSWORD"
    ),
    "secret_random_variable_name": (
        ":5: targets.support.api_key_env: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY"
    ),
    "secret_routing_key": (
        ":6: receivers.oncall.routing_key: a secret does not belong in this file; "
        "name the environment variable: routing_key_env: PAGERDUTY_ROUTING_KEY"
    ),
    "secret_signing_key": (
        ":6: receivers.oncall.signing_key: a secret does not belong in this file; "
        "name the environment variable: signing_key_env: ALERT_WEBHOOK_KEY"
    ),
    "secret_url": (
        ":6: receivers.oncall.url: a secret does not belong in this file; "
        "name the environment variable: url_env: ALERT_WEBHOOK_URL"
    ),
    "secret_webhook_as_variable_name": (
        ":8: receivers.oncall.webhook_url_env: a secret does not belong in this file; "
        "name the environment variable: webhook_url_env: SLACK_WEBHOOK_URL"
    ),
    "secret_webhook_url": (
        ":8: receivers.oncall.webhook_url: a secret does not belong in this file; "
        "name the environment variable: webhook_url_env: SLACK_WEBHOOK_URL"
    ),
    "secret_webhook_url_of_discord": (
        ":6: receivers.oncall.webhook_url: a secret does not belong in this file; "
        "name the environment variable: webhook_url_env: DISCORD_WEBHOOK_URL"
    ),
    "secret_webhook_url_of_teams": (
        ":6: receivers.oncall.webhook_url: a secret does not belong in this file; "
        "name the environment variable: webhook_url_env: TEAMS_WEBHOOK_URL"
    ),
    "several": (
        "several.yaml:2: alarm_budget.scope: unknown value 'flet'; did you mean 'fleet'?\n"
        "several.yaml:4: targets.support.model: missing; write model: gpt-4o-mini\n"
        "several.yaml:5: targets.support.provider: unknown provider 'opnai'; did you mean 'openai'?\n"
        "several.yaml:6: targets.support.modle: unknown key; did you mean 'model'?\n"
        "several.yaml:7: targets.support.interval: shorter than a minute; write at least 60s\n"
        "several.yaml:8: targets.support.api_key: a secret does not belong in this file; "
        "name the environment variable: api_key_env: OPENAI_API_KEY\n"
        "several.yaml:10: http.port: out of range; write at most 65535"
    ),
    "simulation_backwards": ":6: simulation: ends before it starts; write an end after the start",
    "simulation_not_a_time": ":7: simulation.start: not a time; write start: 2026-01-05T00:00:00Z",
    "simulation_of_a_real_target": (
        ":9: simulation: only for simulated targets, and support is not one; "
        "remove the section, or write provider: simulated"
    ),
    "simulation_without_end": ":6: simulation.end: missing; write end: 2026-01-26T00:00:00Z",
    "simulation_without_time_zone": ":7: simulation.start: has no time zone; write start: 2026-01-05T00:00:00Z",
    "slack_bot_without_channel": (
        ":6: receivers.oncall.channel: missing; a bot needs it; write the channel's ID, e.g. channel: C0123456789"
    ),
    "slack_buttons_without_bot": (
        ":9: receivers.oncall.app_token_env: buttons are in the messages of a bot, and there is none; "
        "write bot_token_env: SLACK_BOT_TOKEN beside it, or remove it"
    ),
    "slack_two_ways": (
        ":6: receivers.oncall: the webhook url has more than one place; keep webhook_url_env or webhook_url_file"
    ),
    "slack_webhook_with_channel": (
        ":9: receivers.oncall.channel: a webhook posts to its own channel; "
        "remove it, or write bot_token_env beside the webhook"
    ),
    "slack_without_a_way": ":6: receivers.oncall: no way to reach Slack; write webhook_url_env: SLACK_WEBHOOK_URL",
    "stream_in_words": ":5: targets.support.stream: must be true or false; write stream: false",
    "suite_twice": ":5: targets.support.suites: names the same thing twice; keep one of the two",
    "suites_a_text": ":5: targets.support.suites: must be a list; write suites: [core]",
    "tab_indentation": ":2: a tab where YAML takes only spaces; indent with spaces",
    "tag": ":5: targets.support.owner: a YAML tag (!…) that is not supported; write plain values",
    "target_a_text": ":2: targets.support: must be a mapping; compare it with config/driftwatch.yaml",
    "target_name_with_slash": (
        ":2: targets.team/support: not a usable name; "
        "take letters, digits, '.', '_' and '-', 64 at most, a letter or digit first"
    ),
    "targets_a_list": (
        ":1: targets: must be a mapping; write targets: {support: {provider: openai, model: gpt-4o-mini}}"
    ),
    "targets_empty": ":1: targets: must not be empty; write targets: {support: {provider: openai, model: gpt-4o-mini}}",
    "teams_without_a_way": ":6: receivers.oncall: no way to reach Teams; write webhook_url_env: TEAMS_WEBHOOK_URL",
    "timeout_of_hours": ":5: targets.support.timeout: longer than makes sense here; write at most 1h",
    "tripwire_level_misspelled": (
        ":5: targets.support.tripwires.fingerprint: unknown value 'notise'; did you mean 'notice'?"
    ),
    "tripwire_unknown": ":5: targets.support.tripwires.served_modle: unknown key; did you mean 'served_model'?",
    "tripwires_a_number": (
        ":5: targets.support.tripwires: unknown value; write page, notice or off, or one of them per wire"
    ),
    "tripwires_misspelled": ":5: targets.support.tripwires: unknown value; write page, notice or off",
    "two_api_keys": ":2: targets.support: two sources of the API key; keep api_key_env or api_key_file",
    "two_budgets": ":5: alarm_budget: two budgets; keep false_alarms_per_year or chance_of_any_per_year",
    "two_documents": ":5: more than one document in the file; remove the line `---`",
    "unclosed_bracket": ":5: a bracket is not closed; close it, and put commas between the entries",
    "unclosed_quote": ":3: a quote is not closed; close it on the same line",
    "unknown_key": ":5: alarm_buget: unknown key; did you mean 'alarm_budget'?",
    "unknown_key_in_defaults": ":2: defaults.modle: unknown key; did you mean 'model'?",
    "unknown_key_unlike_any": ":6: log.colour: unknown key; the keys here are format, level",
    "unknown_target_key": ":5: targets.support.intervall: unknown key; did you mean 'interval'?",
    "webhook_own_header": (":6: receivers.oncall.headers.webhook-id: driftwatch fills this header itself; remove it"),
    "webhook_without_a_way": (":6: receivers.oncall: no way to reach the endpoint; write url_env: ALERT_WEBHOOK_URL"),
}
"""File → what follows its name in the error; where there are several lines, all of the text."""


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_bad_file_is_refused_in_these_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES)
    with pytest.raises(ConfigError) as refused:
        load(Path(f"{name}.yaml"), {}, providers=PROVIDERS)
    expected = SAID[name] if "\n" in SAID[name] else f"{name}.yaml{SAID[name]}"
    assert expected == str(refused.value)


def test_every_bad_file_is_in_the_table() -> None:
    assert sorted(SAID) == sorted(file.stem for file in FILES.glob("*.yaml"))


def test_an_error_carries_its_parts_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILES)
    with pytest.raises(ConfigError) as refused:
        load(Path("unknown_target_key.yaml"), {})
    error = refused.value
    assert (error.file, error.line, error.key) == ("unknown_target_key.yaml", 5, "targets.support.intervall")
    assert (error.problem, error.instead) == ("unknown key", "did you mean 'interval'?")


@pytest.mark.parametrize("name", sorted(SAID))
def test_no_error_drags_the_parsers_own_words_along(name: str) -> None:
    """pydantic and ruamel.yaml quote the file in theirs, and a logged traceback shows the whole chain."""
    with pytest.raises(ConfigError) as refused:
        load(FILES / f"{name}.yaml", {}, providers=PROVIDERS)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
