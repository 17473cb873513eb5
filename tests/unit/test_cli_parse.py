"""The command line's words: spellings, kinds of values, refusals; and the table they are read by."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from pyoci.base import suggest
from pyoci.base.errors import OciError
from pyoci.cli import parse as parser
from pyoci.cli.parse import Options
from pyoci.cli.table import CHOICE, COMMANDS, FLAG, GLOBALS, HELP, KEY, KIND, NAME, NAMES, OPTIONS, VALUE
from pyoci.lifecycle.requests import CreateRequest, ExecRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.values import Values


def parse(*argv: str) -> Options:
    settings, at = parser.global_options(list(argv))
    options = Options(list(argv), settings)
    parser.command_options(options, at)
    return options


def values(*argv: str) -> Values:
    return parse(*argv).values


def refusal(*argv: str) -> OciError:
    with pytest.raises(OciError) as caught:
        parse(*argv)
    return caught.value


def test_what_containerd_writes() -> None:
    found = parse(*"--root R --log F --log-format json create --bundle B --pid-file P ID".split())
    assert found.settings == {"root": "R", "log": "F", "log_format": "json"}
    assert found.command is not None and found.command[NAME] == "create"
    assert found.values == {"bundle": "B", "pid_file": "P"}
    assert found.args == ["ID"]


def test_what_podman_writes() -> None:
    found = parse(*"--log-format=json --log F exec --pid-file P --process Q --detach ID".split())
    assert found.settings == {"log": "F", "log_format": "json"}
    assert found.values == {"pid_file": "P", "process": "Q", "detach": True}
    assert found.args == ["ID"]


@pytest.mark.parametrize(
    "words",
    [
        ["--bundle", "B"],
        ["--bundle=B"],
        ["-bundle", "B"],
        ["-bundle=B"],
        ["-b", "B"],
        ["-b=B"],
        ["--b", "B"],
        ["-bB"],
    ],
)
def test_an_option_with_a_value_in_every_spelling(words: list[str]) -> None:
    assert values("create", *words, "ID") == {"bundle": "B"}


def test_a_value_may_look_like_an_option_or_be_empty() -> None:
    assert values("create", "--bundle", "--pid-file", "ID") == {"bundle": "--pid-file"}
    assert values("create", "--bundle=", "ID") == {"bundle": ""}
    assert values("create", "--bundle=a=b", "ID") == {"bundle": "a=b"}
    assert values("exec", "-e", "A=-b", "ID", "x") == {"env": ["A=-b"]}


@pytest.mark.parametrize(
    ("word", "value"),
    [("--force", True), ("-f", True), ("-f=t", True), ("--force=1", True), ("--force=F", False)],
)
def test_a_flag_in_every_spelling(word: str, value: bool) -> None:
    assert values("delete", word, "ID") == {"force": value}


def test_short_options_in_one_word() -> None:
    assert values("exec", "-td", "ID", "x") == {"tty": True, "detach": True}
    assert values("exec", "-tu1:2", "ID", "x") == {"tty": True, "user": "1:2"}
    assert values("exec", "-tu", "1:2", "ID", "x") == {"tty": True, "user": "1:2"}
    assert "not defined: -tz" in refusal("exec", "-tz", "ID", "x").message


def test_options_behind_the_arguments() -> None:
    assert values("delete", "ID", "--force") == {"force": True}
    found = parse("kill", "ID", "--all", "TERM")
    assert (found.values, found.args) == ({"all": True}, ["ID", "TERM"])


def test_what_follows_the_id_of_exec_is_the_command() -> None:
    found = parse("exec", "-t", "ID", "ls", "-t", "--cwd", "--", "-d")
    assert (found.values, found.args) == ({"tty": True}, ["ID", "ls", "-t", "--cwd", "--", "-d"])


def test_two_dashes_end_the_options() -> None:
    assert parse("--", "state", "--", "-x").args == ["-x"]
    assert parse("exec", "--", "ID", "-x").args == ["ID", "-x"]


def test_a_lone_dash_is_an_argument() -> None:
    assert parse("validate", "-").args == ["-"]


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12), ("010", 10), ("0x10", 16), ("1_0", 10)])
def test_a_number(text: str, number: int) -> None:
    assert values("run", "--preserve-fds", text, "ID") == {"preserve_fds": number}


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", "٣", "1e3", " 1x", "0x"])
def test_what_is_no_number(text: str) -> None:
    assert refusal("run", "--preserve-fds", text, "ID").obj == "preserve-fds"


@pytest.mark.parametrize("text", ["1073741825", "2147483648", "9" * 30])
def test_a_number_that_no_system_call_takes(text: str) -> None:
    assert refusal("run", "--preserve-fds", text, "ID").obj == "preserve-fds"
    many = refusal("exec", "-g", f"{int(text) << 2}", "ID", "x")
    assert many.obj == "additional-gids"


def test_lists_keep_their_order() -> None:
    found = values("exec", "-e", "A=1", "--env=B=2", "-g", "5", "-g", "6,7", "-c", "CAP_KILL", "ID", "x")
    assert found == {"env": ["A=1", "B=2"], "additional_gids": [5, 6, 7], "caps": ["CAP_KILL"]}


def test_a_choice() -> None:
    assert values("list", "-f", "json") == {"format": "json"}
    assert "expected one of table, json" in refusal("list", "-f", "xml").message
    assert refusal("--log-format", "xml", "list").obj == "log-format"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("create", '"create" requires exactly 1 argument(s)'),
        ("create a b", '"create" requires exactly 1 argument(s)'),
        ("kill", '"kill" requires a minimum of 1 argument(s)'),
        ("kill a KILL c", '"kill" requires a maximum of 2 argument(s)'),
        ("exec", '"exec" requires a minimum of 1 argument(s)'),
        ("list a", '"list" requires exactly 0 argument(s)'),
        ("exec --bad x", "flag provided but not defined: -bad"),
        ("--bad", "flag provided but not defined: -bad"),
        ("create --bundle", "flag needs an argument: -bundle"),
        ("exec -tu", "flag needs an argument: -u"),
        ("--root", "flag needs an argument: -root"),
        ("run --no-pivot=maybe x", 'invalid value "maybe" for flag -no-pivot: expected true or false'),
    ],
)
def test_refusals_in_the_words_of_runc(argv: str, words: str) -> None:
    error = refusal(*argv.split())
    assert (error.code, error.message, error.status) == ("usage", words, 1)
    assert error.hint


def test_an_unknown_command() -> None:
    error = refusal("lst")
    assert (error.code, error.status, error.hint) == ("unknown-command", 3, "did you mean list?")
    assert refusal("nonsense").hint == "pyoci help lists the commands"


def test_a_group_of_commands() -> None:
    found = parse(*"seccomp record B -o P -- ls -l -- x".split())
    assert found.command is not None and found.command[NAME] == "seccomp record"
    assert (found.values, found.args) == ({"output": "P"}, ["B", "ls", "-l", "--", "x"])
    assert refusal("seccomp").hint.startswith("its commands are seccomp record")
    assert (refusal("seccomp", "recrod").hint, refusal("recor").status) == ("did you mean seccomp record?", 3)
    assert refusal("seccomp", "record").message == '"seccomp record" requires a minimum of 1 argument(s)'
    assert not parser.group("") and not parser.group("seccomp record")


def test_hints() -> None:
    assert refusal("create", "--bundel", "B", "ID").hint == "did you mean --bundle?"
    assert "goes before the command" in refusal("create", "--root", "R", "ID").hint
    assert refusal("--debgu", "list").hint == "did you mean --debug?"


def test_help_needs_no_arguments() -> None:
    assert values("create", "--help") == {"help": True}
    assert values("exec", "-h") == {"help": True}


def test_options_of_other_runtimes_are_ignored() -> None:
    assert parse("--criu", "/sbin/criu", "create", "--no-subreaper", "ID").settings == {"": "/sbin/criu"}


@pytest.mark.parametrize(
    ("left", "right", "limit", "number"),
    [
        ("list", "list", 2, 0),
        ("lsit", "list", 2, 1),
        ("lst", "list", 2, 1),
        ("abcd", "wxyz", 2, 3),
        ("a", "abcd", 1, 2),
    ],
)
def test_edits(left: str, right: str, limit: int, number: int) -> None:
    assert suggest.edits(left, right, limit) == number


# -- the table


def all_options() -> list[tuple[str, tuple[Any, ...]]]:
    found: list[tuple[str, tuple[Any, ...]]] = [("", option) for option in GLOBALS]
    return found + [(command[NAME], option) for command in COMMANDS for option in command[OPTIONS]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[NAME])
def test_every_command_has_its_module(command: Any) -> None:
    run = importlib.import_module(f"pyoci.cli.{command[NAME].replace('-', '_').replace(' ', '_')}").run
    assert list(inspect.signature(run).parameters) == ["context", "options"]


def test_no_spelling_is_used_twice() -> None:
    for options in (GLOBALS, *[command[OPTIONS] for command in COMMANDS]):
        names = [name for option in options for name in option[NAMES]]
        assert len(names) == len(set(names))
        assert "help" not in names or options is GLOBALS


def test_every_option_is_well_formed() -> None:
    for where, option in all_options():
        assert option[KIND] == FLAG or option[VALUE], (where, option)
        assert not option[HELP].endswith("."), (where, option)
        assert option[KIND] != CHOICE or "|" in option[VALUE], (where, option)


@pytest.mark.parametrize("name", ["create", "run", "exec"])
def test_every_key_is_a_field_of_the_request(name: str) -> None:
    request = ExecRequest("/r", "c") if name == "exec" else CreateRequest("/r", "c", "/b")
    for where, option in all_options():
        if where == name and option[KEY]:
            assert hasattr(request, option[KEY]), option[KEY]


RUNC = {
    "create": "bundle console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds",
    "run": "bundle console-socket pidfd-socket pid-file detach keep no-subreaper no-pivot no-new-keyring "
    "preserve-fds",
    "exec": "console-socket pidfd-socket cwd env tty user additional-gids process detach pid-file "
    "process-label apparmor no-new-privs cap preserve-fds cgroup ignore-paused e t u g p d c",
    "kill": "all a",
    "delete": "force f",
    "list": "format quiet f q",
    "spec": "bundle rootless b",
    "": "debug log log-format root criu systemd-cgroup rootless help h version v",
}
CRUN = {"create": "config f no-subreaper", "kill": "regex r", "delete": "regex r", "": "cgroup-manager V"}


@pytest.mark.parametrize("peer", [RUNC, CRUN], ids=["runc", "crun"])
def test_the_options_of_the_other_runtimes_are_there(peer: dict[str, str]) -> None:
    for command, names in peer.items():
        ours = {name for where, option in all_options() if where == command for name in option[NAMES]}
        assert set(names.split()) <= ours, command
