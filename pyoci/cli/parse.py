"""From argument words to values, by the table.

Accepted is what Go's flag package accepts (-name and --name, value in the next word or after "="), and
short options in one word as getopt has them (-td, -b/srv/bundle).
"""

from pyoci.base.errors import OciError
from pyoci.cli.table import (
    AUTO,
    CHOICE,
    COMMANDS,
    FLAG,
    GLOBALS,
    HELP_OPTION,
    KEY,
    KIND,
    LEAST,
    LIST,
    MOST,
    NAME,
    NAMES,
    NUMBER,
    NUMBERS,
    OPTIONS,
    TAIL,
    USAGE,
    VALUE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.table import Command, Option
    from pyoci.cli.values import Settings, Values

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_MOST_DESCRIPTORS = 1 << 30  # fs.nr_open is no higher, and fcntl(2) takes an int
_NAMES = frozenset([command[NAME] for command in COMMANDS])
_LARGEST_ID = (1 << 32) - 1
FAILURE = {"seccomp check": 2}  # the exit status of an error, where 1 is one of the answers


class Options:
    """One command line.

    argv      all its words, without the program's name
    settings  the values of the global options given
    command   the command's row of the table, or None when none was named
    values    the values of the command's options given, by the table's keys
    args      the command's arguments
    """

    __slots__ = ("args", "argv", "command", "settings", "values")

    def __init__(self, argv: list[str], settings: "Settings") -> None:
        self.argv = argv
        self.settings = settings
        self.command: Command | None = None
        self.values: Values = {}
        self.args: list[str] = []


def global_options(argv: list[str]) -> "tuple[Settings, int]":
    """The global options' values and the index of the command's name. Raises OciError `usage`."""
    settings: Settings = {}
    at = 0
    while at < len(argv):
        word = argv[at]
        if word == "--":
            at += 1
            break
        if word[:1] != "-" or word == "-":
            break
        at = _option(argv, at, GLOBALS, settings, None)
    return settings, at


def command_options(options: Options, at: int) -> None:
    """Fill in the command, its options and its arguments from the word at `at` on.

    Options may also follow the arguments, except where these are another program's (see the table's TAIL).
    Raises OciError `usage`, or `unknown-command` with status 3.
    """
    argv = options.argv
    if at >= len(argv):
        return
    name = argv[at]
    at += 1
    if name not in _NAMES and group(name):
        if at == len(argv):
            raise _no_command(name)
        if argv[at] in ("--help", "-help", "-h"):
            options.command, options.args = find("help"), [name]
            return
        name += f" {argv[at]}"
        at += 1
    command = find(name)
    options.command = command
    known = (*command[OPTIONS], HELP_OPTION)
    values, args = options.values, options.args
    while at < len(argv):
        word = argv[at]
        if word[:1] != "-" or word == "-":
            if command[TAIL]:
                break
            args.append(word)
            at += 1
        elif word == "--":
            at += 1
            break
        else:
            at = _option(argv, at, known, values, command)
    args.extend(argv[at:])
    if "help" not in values:
        _count(command, len(args))


def groups() -> "dict[str, dict[str, Command]]":
    """The commands of each group, by the word of their own."""
    found: dict[str, dict[str, Command]] = {}
    for command in COMMANDS:
        name, _, word = command[NAME].rpartition(" ")
        if name:
            found.setdefault(name, {})[word] = command
    return found


def group(word: str) -> "list[Command]":
    """The commands of a group, none where the word is not the name of one."""
    return [*groups().get(word, {}).values()]


def find(name: str) -> "Command":
    """The row of a command. Raises OciError `unknown-command` with status 3."""
    for command in COMMANDS:
        if command[NAME] == name:
            return command
    from pyoci.base.suggest import closest

    near = closest(name, [command[NAME] for command in COMMANDS])
    hint = f"did you mean {near}?" if near else "pyoci help lists the commands"
    raise OciError("unknown-command", f'unknown command "{name}"', obj=name, hint=hint, status=3)


def _no_command(word: str) -> OciError:
    names = " and ".join(command[NAME] for command in group(word))
    return usage_error(f'"{word}" alone is no command', None, f"its commands are {names}")


def usage_error(message: str, command: "Command | None", hint: str = "") -> OciError:
    """An OciError `usage` whose hint shows how the command is called."""
    if not hint:
        hint = (
            f"usage: pyoci {command[NAME]} [options] {command[USAGE]}".rstrip()
            if command
            else "see pyoci --help"
        )
    return OciError("usage", message, hint=hint, status=FAILURE.get(command[NAME], 1) if command else 1)


def _option(
    argv: list[str], at: int, known: "tuple[Option, ...]", values: "Any", command: "Command | None"
) -> int:
    """Take in the option at `at` and return the index of the word after it and its value."""
    word = argv[at]
    body = word[2:] if word[:2] == "--" else word[1:]
    name, equals, text = body.partition("=")
    for option in known:
        if name in option[NAMES]:
            break
    else:
        if word[1] != "-":
            return _short_options(argv, at, known, values, command)
        raise _unknown(name, known, command)
    if option[KIND] == FLAG:
        values[option[KEY]] = _truth(text, name, "true or false", command) if equals else True
        return at + 1
    if not equals:
        at += 1
        if at >= len(argv):
            raise usage_error(f"flag needs an argument: -{name}", command)
        text = argv[at]
    _store(option, text, values, command)
    return at + 1


def _short_options(
    argv: list[str], at: int, known: "tuple[Option, ...]", values: "Any", command: "Command | None"
) -> int:
    """Take in several one-letter options in one word, such as -td or -b/srv/bundle."""
    word = argv[at]
    taken: dict[str, bool] = {}
    for place in range(1, len(word)):
        letter = word[place]
        for option in known:
            if letter in option[NAMES]:
                break
        else:
            raise _unknown(word[1:].partition("=")[0], known, command)
        if option[KIND] == FLAG:
            taken[option[KEY]] = True
            continue
        text = word[place + 1 :]
        if not text:
            at += 1
            if at >= len(argv):
                raise usage_error(f"flag needs an argument: -{letter}", command)
            text = argv[at]
        values.update(taken)
        _store(option, text, values, command)
        return at + 1
    values.update(taken)
    return at + 1


def _store(option: "Option", text: str, values: "Any", command: "Command | None") -> None:
    key, kind = option[KEY], option[KIND]
    if kind == NUMBER:
        values[key] = _number(text, option, command, _MOST_DESCRIPTORS)
    elif kind == LIST:
        values.setdefault(key, []).append(text)
    elif kind == NUMBERS:
        values.setdefault(key, []).extend(
            _number(part, option, command, _LARGEST_ID) for part in text.split(",")
        )
    elif kind == AUTO:
        values[key] = (
            None if text == "auto" else _truth(text, option[NAMES][0], "true, false or auto", command)
        )
    elif kind == CHOICE and text not in option[VALUE].split("|"):
        raise _bad_value(text, option[NAMES][0], f"one of {option[VALUE].replace('|', ', ')}", command)
    else:
        values[key] = text


def _truth(text: str, name: str, expected: str, command: "Command | None") -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _bad_value(text, name, expected, command)


def _number(text: str, option: "Option", command: "Command | None", most: int) -> int:
    """A number from 0 to `most`, decimal or with 0x, 0o or 0b."""
    try:
        number = int(text, 10 if text.isdecimal() else 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most or not text.isascii():
        raise _bad_value(text, option[NAMES][0], "a number", command)
    return number


def _bad_value(text: str, name: str, expected: str, command: "Command | None") -> OciError:
    error = usage_error(f'invalid value "{text}" for flag -{name}: expected {expected}', command)
    error.obj = name
    return error


def _unknown(name: str, known: "tuple[Option, ...]", command: "Command | None") -> OciError:
    from pyoci.cli.suggest import option_hint

    error = usage_error(f"flag provided but not defined: -{name}", command, option_hint(name, known, command))
    error.obj = name
    return error


def _count(command: "Command", given: int) -> None:
    """runc's words, which callers may know."""
    least, most = command[LEAST], command[MOST]
    if given < least or (most >= 0 and given > most):
        if least == most:
            wanted = f"exactly {least}"
        elif given < least:
            wanted = f"a minimum of {least}"
        else:
            wanted = f"a maximum of {most}"
        raise usage_error(f'"{command[NAME]}" requires {wanted} argument(s)', command)
