"""`rag-assets completion bash`: a script for the shell, made from the help of every command."""

import re

from rag_assets.cli.options import parsers
from rag_assets.cli.terminal import say

_SCRIPT = """\
_rag_assets() {
    local typed="${COMP_WORDS[COMP_CWORD]}" words=""
    case "${COMP_WORDS[*]:1:COMP_CWORD-1} " in
%s
    esac
    COMPREPLY=($(compgen -W "$words" -- "$typed"))
}
complete -o default -F _rag_assets rag-assets"""
_OPTION = re.compile(r"^  (?:-\w, )?(--[a-z-]+)", re.MULTILINE)
_OTHER_WORDS = {"completion": ["bash"]}


def print_script() -> int:
    """Print the script. Where a command takes other words, the shell completes names of files."""
    found = parsers()
    cases: list[str] = []
    for name in sorted(found, key=len, reverse=True):
        below = f"{name} ".lstrip()
        commands = [other.removeprefix(below) for other in found if other and other.startswith(below)]
        words = [
            *(
                command
                for command in commands
                if command and " " not in command and f"{below}{command}" != name
            ),
            *_OTHER_WORDS.get(name, ()),
            *_OPTION.findall(found[name].format_help()),
        ]
        pattern = f'"{name} "*' if name else '" "'
        cases.append(f'        {pattern}) words="{" ".join(words)}" ;;')
    say(_SCRIPT % "\n".join(cases))
    return 0
