"""What can go wrong before a unit runs. Each message ends with what to do next.

PlatformError
├── ServerTooOld       the server lacks what the platform needs
├── MissingPrivilege   the administrator's role may not do what is needed
├── ServerUnreachable  nobody answers, or not with this password
├── Leak               a role can see more than its own schema
├── NoServer           the embedded server cannot be made or started
├── AlreadyRunning     another process holds the state directory
├── NotRunning         nobody runs this platform
├── PortTaken          somebody else listens there
├── BadAddress         this machine cannot listen there
├── BrokerAway         the message broker does not answer
└── ProcessFailed      a process of the platform does not run
"""


class PlatformError(Exception):
    """The platform cannot run here."""


class ServerTooOld(PlatformError):
    """The server lacks what the platform needs."""


class MissingPrivilege(PlatformError):
    """The administrator's role may not do what is needed."""


class ServerUnreachable(PlatformError):
    """Nobody answers, or not with this password."""


class Leak(PlatformError):
    """A role can see more than its own schema."""


class NoServer(PlatformError):
    """The embedded server cannot be made or started."""


class AlreadyRunning(PlatformError):
    """Another process holds the state directory."""


class NotRunning(PlatformError):
    """Nobody runs this platform."""


class BadAddress(PlatformError):
    """This machine cannot listen there."""


class PortTaken(PlatformError):
    """Somebody else listens there."""


class BrokerAway(PlatformError):
    """The message broker does not answer."""


class ProcessFailed(PlatformError):
    """A process of the platform does not run."""
