"""The way in: parse the command line, run the command, turn every failure into a log line and an exit status.

Statuses are runc's: 0; 1 for a failure or a wrong command line; 3 for an unknown command; 255 for an
`exec` that failed on the runtime's side; the status of the container's process for `run` and `exec` in
the foreground.
"""

from pyoci.base import boot, jsontext
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli.parse import Options, command_options, global_options
from pyoci.cli.table import CORE, NAME
from pyoci.spec.problem import RefusedDocument

_EXEC_FAILED = 255
_INTERRUPTED = 130


def main(context: Context, argv: list[str], refused: RefusedDocument | None = None) -> int:
    """Run one command line (without the program's name) and return the exit status. Raises nothing.

    refused  a document to explain in place of running the command (pyoci.cli.refusal)
    """
    log = context.log
    name = ""
    try:
        settings, at = global_options(argv)
        context.root_given = "root" in settings
        log.operation = argv[at] if at < len(argv) else ""
        level = settings.get("log_level")
        log.configure(
            settings.get("log", ""),
            json=settings.get("log_format") == "json",
            debug=settings.get("debug", False) or level == "debug",
        )
        if log.is_debugging:
            context.spans.report = log.debug
        options = Options(argv, settings)
        if not (settings.get("help") or settings.get("version")):
            command_options(options, at)
        name = _command_name(options)
        status = _run(context, name, options, refused)
        log.finish()
        return status
    except OciError as error:
        log.failure(error)
        return _EXEC_FAILED if name == "exec" and error.status == 1 else error.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as bug:
        if _lacks_module(bug):
            log.failure(_no_module(bug))
        else:
            _report(context, bug)
        return _EXEC_FAILED if name == "exec" else 1


def _command_name(options: Options) -> str:
    """The command that answers: help and version also go by options."""
    if options.settings.get("version"):
        return "version"
    if options.command is None or options.settings.get("help") or options.values.get("help"):
        return "help"
    return options.command[NAME]


def _run(context: Context, name: str, options: Options, refused: RefusedDocument | None) -> int:
    """Run a command. Raises OciError."""
    if options.command is not None and name == options.command[NAME] and not options.command[CORE]:
        boot.go_full(options.argv)
    context.log.operation = name
    try:
        if refused:
            raise refused
        module = __import__("pyoci.cli." + name.replace("-", "_").replace(" ", "_"), None, None, ("run",))
        status: int = module.run(context, options)
        return status
    except RefusedDocument as document:
        from pyoci.cli import refusal

        raise refusal.explained(document, options.argv) from None
    except jsontext.ManyMembers as document:
        from pyoci.cli import refusal

        refusal.hand_over(document, options.argv)
        raise


def _lacks_module(bug: Exception) -> bool:
    """Whether the ordinary interpreter lacks another project's module, or one of ours, which are built for one Python."""
    if not isinstance(bug, ModuleNotFoundError) or boot.is_static():
        return False
    name = bug.name or ""
    return not name.startswith("pyoci.") or name in ("pyoci._json", "pyoci._ops", "pyoci._shim")


def _no_module(bug: Exception) -> OciError:
    python, name = boot.interpreter(), getattr(bug, "name", "")
    hint = f"this command needs {boot.needs()} (Debian: python3-cffi-backend, python3-jsonschema)"
    if name.startswith("pyoci."):
        hint = "pyoci was built for another Python: install it again"
    return OciError("no-python", f"the interpreter {python} has no module {name}", obj=python, hint=hint)


def _report(context: Context, bug: Exception) -> None:
    """Log a failure that no code foresaw as OciError `internal`, and show where it came from."""
    if isinstance(bug, OSError) and bug.errno:
        what = (
            bug.filename.decode("utf-8", "surrogateescape")
            if isinstance(bug.filename, bytes)
            else bug.filename
        )
        error = OciError(
            "internal", f"unexpected failure on {what}" if what else "unexpected failure", errno=bug.errno
        )
    else:
        error = OciError("internal", f"unexpected failure: {type(bug).__name__}: {bug}")
    context.log.failure(error)
    boot.report(bug)
