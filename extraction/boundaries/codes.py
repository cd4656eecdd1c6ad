"""Every code that a layer reports. docs/boundaries.md has a paragraph for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    layer: str
    """imports, source, checks, database, contracts or runtime."""
    title: str
    """What is found, in a few words."""
    instead: str
    """What to do where no call or event of the other module is known to fit."""


ASK_OR_TELL = "ask it with a contract call, or hear an event of it"
CODES = {
    "boundaries.E001": Code("source", "a file that cannot be read", "correct it: what stands behind is not looked at"),
    "boundaries.E101": Code("imports", "an import of another module", ASK_OR_TELL),
    "boundaries.E102": Code("imports", "an import through a helper", "take out of the helper what is the module's"),
    "boundaries.E103": Code("imports", "a published file that knows more than plain values", "publish a frozen struct"),
    "boundaries.E104": Code("imports", "a broken contract of import-linter", "see the contract"),
    "boundaries.E201": Code("source", "an import by name", ASK_OR_TELL),
    "boundaries.E202": Code("source", "a string that names another module's code", ASK_OR_TELL),
    "boundaries.E203": Code("source", "code that no reader can follow", "import by name; choose from a table"),
    "boundaries.E204": Code("source", "another module through its parent package", ASK_OR_TELL),
    "boundaries.E205": Code("source", "another module's model from the registry", ASK_OR_TELL),
    "boundaries.E206": Code("source", "a URL of another module by its name", "take the path from its contract"),
    "boundaries.E207": Code("source", "another module's management command", ASK_OR_TELL),
    "boundaries.E208": Code("source", "a setting of another module", "give this module a setting of its own"),
    "boundaries.E209": Code("source", "a cache key of another module", "keep a cache under this module's own prefix"),
    "boundaries.E210": Code("source", "a lock or a channel without an owner", "begin its name with the module's own"),
    "boundaries.E211": Code("source", "SQL on another module's tables", ASK_OR_TELL),
    "boundaries.E212": Code("source", "SQL that takes another role", "work as the module's own role"),
    "boundaries.E213": Code("source", "DROP … CASCADE", "drop by name: a cascade reaches what is not yours"),
    "boundaries.E214": Code("source", "a task of another module", "publish an event that it hears"),
    "boundaries.E215": Code("source", "another module's database", ASK_OR_TELL),
    "boundaries.E216": Code("source", "a template or a tag of another module", "let the page ask both for their part"),
    "boundaries.E217": Code("source", "a fixture with another module's rows", "let each module load its own"),
    "boundaries.E301": Code("checks", "a relation to another module's model", "keep its id as a plain value"),
    "boundaries.E302": Code("checks", "a model that inherits from another module's", "keep its id as a plain value"),
    "boundaries.E303": Code("checks", "a generic relation", "keep a kind and an id as plain values"),
    "boundaries.E304": Code("checks", "a signal of another module's model", "hear an event that its module publishes"),
    "boundaries.E305": Code("checks", "another module's URLs", "let the composition root include them"),
    "boundaries.E306": Code("checks", "another module's model in the admin", "let its own module administer it"),
    "boundaries.E307": Code("checks", "a migration that waits for another module's", "take the relation away"),
    "boundaries.E308": Code("checks", "a template library of another module", "let the page ask both for their part"),
    "boundaries.E309": Code("checks", "a task under another module's name", "begin its name with the module's own"),
    "boundaries.E401": Code("database", "a constraint out of its module", "drop it, and keep the id as a plain value"),
    "boundaries.E402": Code(
        "database", "a view, rule or function over another module's tables", "drop it, and ask with a call"
    ),
    "boundaries.E403": Code("database", "a role that may become another", "revoke the membership"),
    "boundaries.E404": Code("database", "a privilege on what is another module's", "revoke it"),
    "boundaries.E501": Code(
        "runtime", "SQL inside another module's transaction", "ask before it opens, or publish in it"
    ),
    "boundaries.E502": Code("runtime", "a second commit of one operation", "one operation, one transaction"),
    "boundaries.E503": Code("runtime", "SQL for another module's table", ASK_OR_TELL),
    "boundaries.E504": Code(
        "runtime", "a handler in the publisher's transaction", "publish: it is heard after the commit"
    ),
    "boundaries.E505": Code("runtime", "code that fails without the other modules", ASK_OR_TELL),
}
"""By their id, which never changes its meaning."""


def layer_of(code: str, otherwise: str) -> str:
    """Which reports it; `otherwise` for a code of the project's own."""
    return CODES[code].layer if code in CODES else otherwise
