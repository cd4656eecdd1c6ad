"""Accounts as rows, where the user model is another module's, or no module's and in another database than this one's.

`request.user` is known by its name, and of it what only a model has. Which model holds the accounts Django knows: of a
checkout that is not set up nothing is told.
"""

import re
from collections.abc import Iterator

from extraction.boundaries.source.claims import SHARED_ALIASES
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

_OF_DJANGO = "django.contrib.auth.models."
_OF_REQUEST = re.compile(
    rb"\brequest\.user\.(?:groups|user_permissions|\w+_set|(?=a?(?:save|delete|refresh_from_db)\()\w+)\b"
)


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    model = neighbours.house.user_model
    if (other := _whose(neighbours, model)) is not None:
        for call in code.calls("get_user_model", "get_model"):
            given = call.argument(0, "app_label")
            if code.called(call) == "get_user_model" or (given and code.text(given).endswith("AUTH_USER_MODEL")):
                yield Found("E205", other, f"calls {code.shown(call.node)}: rows of {model}", code.line(call.node))
        yield from _said(code, _OF_REQUEST, other, model)
    for local, dotted in code.names.items():
        if dotted.startswith(_OF_DJANGO) and (other := _whose(neighbours, "auth.User")) is not None:
            yield from _said(code, re.compile(rf"\b{re.escape(local)}\.objects\b".encode()), other, dotted)


def _whose(neighbours: Neighbours, model: str) -> str | None:
    """The other module's name, empty where it is no module's; None where this module may have its rows."""
    owner = neighbours.house.by_label.get(model.partition(".")[0])
    if owner is not None:
        return None if owner is neighbours.member else owner.name
    return "" if model and neighbours.member.alias not in SHARED_ALIASES else None


def _said(code: Code, pattern: re.Pattern[bytes], other: str, model: str) -> Iterator[Found]:
    for match in pattern.finditer(code.data):
        node = code.at(match.start(), match.start() + 1)
        if node is not None and node.type == "identifier":
            yield Found("E205", other, f"takes {match[0].decode()}: rows of {model}", code.line(node))
