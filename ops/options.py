"""How the command line of a command is made, and the options that several commands share."""

import argparse
from typing import Any

Parser = argparse.ArgumentParser

SAY_WHICH = "say which ones: --id, --type, --reason; or --all"
"""A command that changes something does not guess that everything is meant."""


def add_command(
    commands: Any, name: str, help_: str, example: str, run: str, *, careful: str = ""
) -> Parser:
    """Add a command or an action; `run` is its function, as `module:function`.

    `careful`: what to say when none of the options is given that choose something.
    """
    parser: Parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.",
        epilog=f"example:  {example}",
    )
    parser.set_defaults(run=run, parser=parser, careful=careful)
    return parser


def add_room(commands: Any, name: str, help_: str, first: str = "list") -> Any:
    """Add a command that has actions, and return the place for them; `first` is the example."""
    room = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.",
        epilog=f"example:  tidings {name} {first}",
    )
    return room.add_subparsers(title="actions", metavar="ACTION", required=True)


def add_filters(parser: Parser) -> None:
    """Add the options that choose some of many, and --json."""
    parser.add_argument(
        "--id", action="append", default=[], help="only this event id; may be repeated"
    )
    parser.add_argument("--type", default="", help="only this event type; * stands for any text")
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="at most N of those that match"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
