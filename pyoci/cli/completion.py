"""`pyoci completion`: scripts that teach a shell pyoci's commands, options and the ids of its containers."""

from pyoci.base import files
from pyoci.cli.parse import groups, usage_error
from pyoci.cli.table import (
    AUTO,
    CHOICE,
    COMMANDS,
    FLAG,
    GLOBALS,
    HELP,
    HELP_OPTION,
    KIND,
    NAME,
    NAMES,
    OPTIONS,
    SUMMARY,
    USAGE,
    VALUE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.cli.table import Command, Option


_FISH_SEEN = "__fish_seen_subcommand_from"


def run(context: "Context", options: "Options") -> int:
    """Print the completion script of a shell. Raises OciError `usage` for an unknown one."""
    makers = {"bash": bash, "zsh": zsh, "fish": fish}
    shell = options.args[0]
    if shell not in makers:
        raise usage_error(f'no completion for "{shell}"', options.command)
    files.out(makers[shell]())
    return 0


def bash() -> str:
    """The script for bash; it needs no other completion package."""
    rows = [
        "_pyoci() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= root= i=1",
        "    COMPREPLY=()",
        "    while (( i < COMP_CWORD )); do",
        "        case ${COMP_WORDS[i]} in",
        f"            {_pattern(GLOBALS)})",
        "                [[ ${COMP_WORDS[i]} == --root ]] && root=${COMP_WORDS[i+1]}",
        "                (( i += 2 )) ;;",
        "            -*) (( i += 1 )) ;;",
        "            *) command=${COMP_WORDS[i]}; break ;;",
        "        esac",
        "    done",
        f"    case $command in {'|'.join(groups())})",
        '        (( i + 1 < COMP_CWORD )) && command+=" ${COMP_WORDS[i+1]}" ;;',
        "    esac",
        "    local options ids= values=",
        "    case $command in",
        _bash_case('""', GLOBALS, words=" ".join(_first_words())),
        *[_bash_case(name, (), words=" ".join(members)) for name, members in groups().items()],
        *[_bash_case(f'"{command[NAME]}"', command[OPTIONS], command) for command in COMMANDS],
        "        *) return ;;",
        "    esac",
        "    if [[ $ids && $word != -* ]]; then",
        '        values+=" $(pyoci ${root:+--root "$root"} list -q 2>/dev/null)"',
        "    fi",
        '    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))',
        '    else COMPREPLY=($(compgen -W "$values" -- "$word")); fi',
        "}",
        "complete -o default -F _pyoci pyoci",
    ]
    return "\n".join(rows) + "\n"


def _bash_case(
    label: str, options: "tuple[Option, ...]", command: "Command | None" = None, words: str = ""
) -> str:
    shown = " ".join(_dashed(name) for option in _shown(options) for name in option[NAMES])
    ids = " ids=1" if command is not None and _takes_id(command) else ""
    words = words or _words(command)
    rows = [f"        {label})", f'            options="{shown}"{ids} values="{words}"']
    choices = [option for option in _shown(options) if option[KIND] in (CHOICE, AUTO)]
    if choices:
        rows.append("            case $before in")
        for option in choices:
            names = "|".join(_dashed(name) for name in option[NAMES])
            rows.append(f'                {names}) ids= values="{option[VALUE].replace("|", " ")}" ;;')
        rows.append("            esac")
    return "\n".join([*rows, "            ;;"])


def _pattern(options: "tuple[Option, ...]") -> str:
    """The options that take a value from the next word, as a shell pattern."""
    return "|".join(_dashed(name) for option in options if option[KIND] != FLAG for name in option[NAMES])


def zsh() -> str:
    """The script for zsh, in the form of an autoloaded function."""
    rows = [
        "#compdef pyoci",
        "_pyoci_ids() {",
        "    local -a ids",
        '    ids=(${(f)"$(pyoci list -q 2>/dev/null)"})',
        "    compadd -a ids",
        "}",
        "_pyoci() {",
        "    local curcontext=$curcontext state line",
        "    local -A opt_args",
        "    local -a commands=(",
        *[f"        {_quote(name + ':' + summary)}" for name, summary in _first_words().items()],
        "    )",
        "    _arguments -C \\",
        *[f"        {row} \\" for row in _zsh_options(GLOBALS)],
        "        '1:command:->command' '*::argument:->argument'",
        "    case $state in",
        "        command) _describe command commands ;;",
        "        argument)",
        "            case $words[1] in",
    ]
    rows += [_zsh_case(command[NAME], command) for command in COMMANDS if " " not in command[NAME]]
    for name, members in groups().items():
        rows += [
            f"                {name})",
            f"                    (( CURRENT == 2 )) && {{ compadd {' '.join(members)}; return }}",
            "                    shift words; (( CURRENT-- ))",
            "                    case $words[1] in",
            *[_zsh_case(word, command) for word, command in members.items()],
            "                    esac ;;",
        ]
    rows += [
        "            esac ;;",
        "    esac",
        "}",
        'if [[ $funcstack[1] == _pyoci ]]; then _pyoci "$@"; else compdef _pyoci pyoci; fi',
    ]
    return "\n".join(rows) + "\n"


def _zsh_case(label: str, command: "Command") -> str:
    tail = "'1:container:_pyoci_ids' '*::command:_normal'" if _takes_id(command) else _zsh_words(command)
    options = " ".join(_zsh_options(command[OPTIONS]))
    return f"                {label}) _arguments {options} {tail} ;;"


def _zsh_options(options: "tuple[Option, ...]") -> list[str]:
    rows = []
    for option in _shown(options):
        about = option[HELP].replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
        value = (
            "" if option[KIND] == FLAG else f":{option[VALUE].split('|')[0].lower()}:{_zsh_values(option)}"
        )
        rows += [_quote(f"{_dashed(name)}[{about}]{value}") for name in option[NAMES]]
    return rows


def _zsh_values(option: "Option") -> str:
    if option[KIND] in (CHOICE, AUTO):
        return f"({option[VALUE].replace('|', ' ')})"
    return {"DIR": "_files -/", "FILE": "_files", "SOCKET": "_files"}.get(option[VALUE], "")


def _zsh_words(command: "Command") -> str:
    words = _words(command)
    return f"'1:argument:({words})'" if words else "'*:file:_files'"


def fish() -> str:
    """The script for fish."""
    none = f"not {_FISH_SEEN} {' '.join(_first_words())}"
    rows = ["complete -c pyoci -f"]
    rows += [_fish_option(option, none) for option in _shown(GLOBALS)]
    rows += [_fish_word(none, name, summary) for name, summary in _first_words().items()]
    for group, members in groups().items():
        inside = f"{_FISH_SEEN} {group}; and not {_FISH_SEEN} {' '.join(members)}"
        rows += [_fish_word(inside, name, command[SUMMARY]) for name, command in members.items()]
    for command in COMMANDS:
        here = "; and ".join(f"{_FISH_SEEN} {word}" for word in command[NAME].split())
        rows += [_fish_option(option, here) for option in _shown(command[OPTIONS])]
        if _takes_id(command):
            rows.append(f"complete -c pyoci -n {_quote(here)} -a '(pyoci list -q 2>/dev/null)'")
        elif _words(command):
            rows.append(f"complete -c pyoci -n {_quote(here)} -a {_quote(_words(command))}")
        elif command[USAGE]:
            rows.append(f"complete -c pyoci -n {_quote(here)} -F")
    return "\n".join(rows) + "\n"


def _fish_word(condition: str, word: str, about: str) -> str:
    return f"complete -c pyoci -n {_quote(condition)} -a {word} -d {_quote(about)}"


def _fish_option(option: "Option", condition: str) -> str:
    row = f"complete -c pyoci -n {_quote(condition)}"
    for name in option[NAMES]:
        row += f" -{'s' if len(name) == 1 else 'l'} {name}"
    if option[KIND] in (CHOICE, AUTO):
        row += f" -x -a {_quote(option[VALUE].replace('|', ' '))}"
    elif option[KIND] != FLAG:
        row += " -r" + (" -F" if option[VALUE] in ("DIR", "FILE", "SOCKET") else "")
    return f"{row} -d {_quote(option[HELP])}"


def _shown(options: "tuple[Option, ...]") -> "list[Option]":
    found = [option for option in options if option[HELP]]
    return found if options is GLOBALS else [*found, HELP_OPTION]


def _first_words() -> dict[str, str]:
    """The names of commands and groups, and what each does."""
    found = {command[NAME]: command[SUMMARY] for command in COMMANDS if " " not in command[NAME]}
    return found | {name: f"commands: {', '.join(members)}" for name, members in groups().items()}


def _takes_id(command: "Command") -> bool:
    return command[USAGE].startswith("ID") and command[NAME] not in ("create", "run")


def _words(command: "Command | None") -> str:
    """The fixed words a command takes as its argument."""
    if command is None:
        return ""
    if command[NAME] == "help":
        return " ".join(_first_words())
    return command[USAGE].replace("|", " ") if command[NAME] in ("completion", "engine-config") else ""


def _dashed(name: str) -> str:
    return ("-" if len(name) == 1 else "--") + name


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
