"""How this process came to run: the launcher, the way to full Python, and the words for a bug."""

import posix
import sys

_STATIC = "_pyoci_launcher" in sys.builtin_module_names
_full = not _STATIC and not sys.flags.no_site


def build() -> str:
    """What the launcher that started this process is (csrc/build/parts.py): a JSON text, "" where there was no launcher."""
    if _STATIC:
        import _pyoci_launcher

        return str(_pyoci_launcher.build)
    return str(sys._xoptions.get("pyoci_build", ""))


def commit() -> str:
    """The commit that pyoci was built from, "unknown" where the build could not tell."""
    from pyoci.base import jsontext

    text = build()
    found = jsontext.loads(text).get("commit") if text else None
    return found if isinstance(found, str) and found else "unknown"


def is_static() -> bool:
    """Whether this is the launcher's own Python, whose core alone is initialised."""
    return _STATIC


def package_directory() -> str:
    """The directory with the package's files, absolute."""
    if _STATIC:
        import _pyoci_launcher

        return str(_pyoci_launcher.package)
    return __file__.rpartition("/")[0].rpartition("/")[0]


def interpreter() -> str:
    """The path of the environment's ordinary interpreter."""
    if _STATIC:
        import _pyoci_launcher

        return str(_pyoci_launcher.python)
    return sys.executable


def go_full(argv: list[str]) -> None:
    """Make sure that an ordinary Python with the environment's packages is running.

    argv is the command line without the program's name. Call it before anything is done that must not be
    done twice: from the static launcher this starts the ordinary interpreter on the same command line and
    does not return. Otherwise it adds what `-S` left out, if it did, and returns.
    Raises OciError when the interpreter cannot be started.
    """
    if _STATIC:
        python = interpreter()
        main = package_directory() + "/__main__.py"
        try:
            posix.execv(python, [python, "-I", "-X", "utf8", "-X", f"pyoci_build={build()}", main, *argv])
        except OSError as error:
            from pyoci.base.errors import from_os_error

            hint = f"this command needs {needs()}, there or beside the program pyoci; if Python was upgraded, install pyoci again"
            text = f"cannot start the interpreter {python}"
            raise from_os_error("no-python", text, error, obj=python, hint=hint) from None
    global _full
    if not _full:
        import site

        site.main()
        _full = True


def needs() -> str:
    """What the commands need that the static launcher does not run by itself."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]} with cffi and jsonschema"


def report(bug: BaseException) -> None:
    """Write the traceback of a bug to standard error; works without Python's io and traceback modules."""
    from pyoci.base import files

    rows = ["pyoci: this is a bug in pyoci, please report it\nTraceback (most recent call last):\n"]
    seen: set[int] = set()
    for error in _chain(bug, seen):
        step = error.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            rows.append(f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_qualname}\n')
            text = _source_line(code.co_filename, step.tb_lineno)
            if text:
                rows.append(f"    {text}\n")
            step = step.tb_next
        rows.append(f"{type(error).__name__}: {error}\n")
    files.err("".join(rows))


def _chain(error: BaseException, seen: set[int]) -> list[BaseException]:
    """The error with those it came from, the first cause first."""
    seen.add(id(error))
    earlier = error.__cause__
    if earlier is None and not error.__suppress_context__:
        earlier = error.__context__
    if earlier is None or id(earlier) in seen:
        return [error]
    return [*_chain(earlier, seen), error]


def _source_line(name: str, number: int) -> str:
    """One line of a source file, or ""; frozen modules carry names below the package's parent."""
    from pyoci.base import files

    path = name if name.startswith("/") else package_directory().rpartition("/")[0] + "/" + name
    try:
        lines = files.read(path).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
