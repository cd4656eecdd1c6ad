"""What can go wrong while the databases of a migration are joined or parted. Each message ends with what to type next.

ReplicationError
├── Blocked     a session holds a table that has to change
├── NotHome     the module does not live where this step needs it
├── NoStream    the server refused a publication or a subscription, or the stream does not go on by itself
├── Unfit       the tables are not such that they can follow each other
└── NotCopied   the time is over and rows are still being copied
"""


class ReplicationError(Exception):
    """The databases of a migration cannot be joined or parted now."""


class Blocked(ReplicationError):
    """A session holds a table that has to change, longer than we wait. Nobody else was held up."""


class NotHome(ReplicationError):
    """The module does not live where this step needs it."""


class NoStream(ReplicationError):
    """The server refused a publication or a subscription, or the stream does not go on by itself."""


class Unfit(ReplicationError):
    """The tables are not such that they can follow each other."""


class NotCopied(ReplicationError):
    """The time is over and rows are still being copied. The copy goes on."""
