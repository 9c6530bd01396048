"""`cvm`: the command line, one module per family of commands. Words and exit codes only."""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.backfill import backfill
from cvm_pipeline.cli.check import check
from cvm_pipeline.cli.demo import demo
from cvm_pipeline.cli.doctor import doctor
from cvm_pipeline.cli.explain import explain
from cvm_pipeline.cli.export import export
from cvm_pipeline.cli.forget import forget
from cvm_pipeline.cli.gate import gate
from cvm_pipeline.cli.init import init
from cvm_pipeline.cli.rollback import rollback
from cvm_pipeline.cli.run import run as run_command
from cvm_pipeline.cli.status import status
from cvm_pipeline.cli.ui import ui
from cvm_pipeline.cli.versions import versions
from cvm_pipeline.config.errors import ConfigurationError

# What shells say of a program that was interrupted.
_STOPPED = 130

app = typer.Typer(
    name="cvm",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="Customer value management: from raw CRM exports to a warehouse of trustworthy customer tables.")
def cvm(
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    """Options of all commands; both are read in `run`, before and after any of them."""


app.command("init")(init)
app.command("run")(run_command)
app.command("backfill")(backfill)
app.command("check")(check)
app.command("status")(status)
app.command("versions")(versions)
app.command("rollback")(rollback)
app.add_typer(gate, name="gate")
app.command("explain")(explain)
app.command("export")(export)
app.command("forget")(forget)
app.command("doctor")(doctor)
app.command("demo")(demo)
app.command("ui")(ui)


def run() -> None:
    """The entry point: every error is one short message that says what, where and what to do."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    # Wherever it stands: a person adds it to the end of the line that failed.
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not debug:
        # Deprecations inside the libraries are ours to read, not the user's.
        warnings.simplefilter("ignore")
    if arguments == ["--version"]:
        from cvm_pipeline.config.version import code_version

        print(code_version())
        sys.exit(words.DONE)
    try:
        code = app(arguments, standalone_mode=False)
    except typer.TyperException as error:
        # Wrong usage; `show` is of the click that typer carries.
        error.show()  # type: ignore[attr-defined]
        code = words.USAGE
    except words.Stopped as stopped:
        words.say(str(stopped))
        sys.exit(_STOPPED)
    except (typer.Abort, KeyboardInterrupt):
        code = _STOPPED
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = _told(error, as_json="--json" in arguments, debug=debug)
    if code == _STOPPED:
        words.say("Stopped. What readers see is unchanged; run again when you like")
    sys.exit(code if isinstance(code, int) else words.DONE)


def _told(error: Exception, as_json: bool, debug: bool) -> int:
    """Say an error in words, and which exit code it ends with."""
    if isinstance(error, ConfigurationError):
        try:
            words.fail_configuration(error, as_json)
        except typer.Exit as ended:
            return ended.exit_code
    code = _known(error)
    words.say(str(error) if code is not None else f"{type(error).__name__}: {error}", style="red")
    if code is None and not debug:
        words.say("This is a fault of cvm. Run again with --debug for the stack trace")
    return words.FAILED if code is None else code


def _known(error: Exception) -> int | None:
    from cvm_pipeline.defs.workshop import exit_code_of

    return exit_code_of(error)
