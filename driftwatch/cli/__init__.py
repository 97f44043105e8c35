"""The command line: ``driftwatch VERB``. Every verb is a file; heavy imports happen inside the verbs."""

from __future__ import annotations

import sys
import traceback

import typer

from driftwatch import __version__
from driftwatch.cli import (
    alerts,
    backtest,
    baseline,
    canaries,
    check,
    compare,
    demo,
    doctor,
    history,
    incidents,
    init,
    plan,
    probes,
    rebaseline,
    report,
    serve,
    silence,
    status,
    validate,
)
from driftwatch.errors import DriftwatchError, UsageError

app = typer.Typer(
    name="driftwatch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Notices when an LLM endpoint starts to behave differently under an unchanged model name.",
    epilog="Exit codes: 0 ok · 1 drift · 2 usage or config · 3 could not measure · 130 interrupted.",
)

START, WATCH, LOOK, ACT = "Start", "Watch", "Look", "Act"

app.command("init", rich_help_panel=START)(init.init)
app.command("validate", rich_help_panel=START)(validate.validate)
app.command("doctor", rich_help_panel=START)(doctor.doctor)
app.command("demo", rich_help_panel=START)(demo.demo)
app.command("plan", rich_help_panel=START)(plan.plan)
app.command("baseline", rich_help_panel=WATCH)(baseline.baseline)
app.command("serve", rich_help_panel=WATCH)(serve.serve)
app.command("check", rich_help_panel=WATCH)(check.check)
app.command("status", rich_help_panel=LOOK)(status.status)
app.command("history", rich_help_panel=LOOK)(history.history)
app.command("report", rich_help_panel=LOOK)(report.report)
app.command("compare", rich_help_panel=LOOK)(compare.compare)
app.command("backtest", rich_help_panel=LOOK)(backtest.backtest)
app.add_typer(incidents.app, name="incidents", rich_help_panel=ACT)
app.command("ack", rich_help_panel=ACT)(incidents.ack)
app.add_typer(silence.app, name="silence", rich_help_panel=ACT)
app.add_typer(alerts.app, name="alerts", rich_help_panel=ACT)
app.command("rebaseline", rich_help_panel=ACT)(rebaseline.rebaseline)
app.add_typer(canaries.app, name="canaries", rich_help_panel=ACT)
app.add_typer(probes.app, name="probes", rich_help_panel=ACT)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
) -> None:
    if version:
        typer.echo(f"driftwatch {__version__}")
        raise typer.Exit


REWORDED = {
    ". Did you mean": "; did you mean",
    ": Input should be": ": it must be",
    ": Value error, ": ": ",
    "a valid integer, unable to parse string as an integer": "a whole number",
}
"""What the command-line library says → what a person reads better."""

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C or at a question."""

INTERRUPTIONS = {
    "baseline": (
        "interrupted; the run under way is lost, earlier ones are kept, and the same command goes on from there"
    ),
    "probes": "interrupted; nothing was written, and what the requests sent so far have found is lost",
}
"""Verb → what its interruption means; the others have nothing to say."""


def main() -> None:
    """Run the command line and map every error made on purpose to its exit code and one sentence."""
    try:
        code = app(prog_name="driftwatch", standalone_mode=False)
    except DriftwatchError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        if said := _mistake(error):
            _complain(said)
        sys.exit(UsageError.exit_code)
    except typer.Abort:
        code = INTERRUPTED
    except SystemExit as stopped:
        # typer and rich leave with 1, which here means drift, when the reader of a pipe has gone.
        sys.exit(DriftwatchError.exit_code if isinstance(stopped.__context__, BrokenPipeError) else stopped.code)
    except Exception:  # noqa: BLE001 - said and mapped below
        # Python would leave with 1, which here means drift: a bug must never look like a finding.
        traceback.print_exc()
        _complain("this is a bug in driftwatch; please report the lines above")
        sys.exit(DriftwatchError.exit_code)
    if code == INTERRUPTED:
        _complain(INTERRUPTIONS.get(_verb(), "interrupted"))
    sys.exit(code if isinstance(code, int) else 0)


def _verb() -> str:
    """The verb that was typed: no option before it takes a value."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _mistake(error: typer.TyperException) -> str:
    """A command line that cannot be read, in one sentence; empty when the help has been shown instead."""
    said = error.format_message().strip()
    if not said:
        return ""
    if possibilities := getattr(error, "possibilities", None):
        said = f"{str(error).rstrip('.')}. Did you mean {' or '.join(sorted(possibilities))}?"
    said = said[0].lower() + said[1:].rstrip(".")
    for theirs, ours in REWORDED.items():
        said = said.replace(theirs, ours)
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "driftwatch"
    return said if "; did you mean" in said else f"{said}; `{where} -h` shows what to write"


def _complain(sentence: str) -> None:
    print(f"driftwatch: {sentence}", file=sys.stderr)  # noqa: T201 - the one place an error is told
