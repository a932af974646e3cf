"""Every error that Foundation raises, drawn as one tree.

::

    FoundationError
    ├── ConfigurationError            a value that cannot be used; says which, where it came from, what would do
    │   ├── UnknownStrategyError      no adapter of that name; lists the names there are
    │   └── MissingExtraError         an optional package is absent; names the `pip install` line
    ├── LifecycleError
    │   ├── NotRunningError           used before it was started or after it was stopped
    │   ├── AlreadyRunningError       started twice
    │   └── RunningLoopError          a blocking call would hold up an event loop (also a RuntimeError)
    ├── DiscoveryError                a strategy can neither look up nor announce at the moment
    ├── FabricError
    │   ├── ListenError               the listening address cannot be bound
    │   ├── HandshakeError            the other side is not one of us, or does not believe that we are
    │   │   └── RefusedError          it said so, with the reason
    │   ├── UnreachableError          nobody answers at that address
    │   ├── FabricLostError           the session under this node is gone; the node cannot go on
    │   └── CodecError                bytes that are not what they should be
    ├── ProcessError
    │   ├── ProcessDefinitionError    a class that cannot be a process (also a TypeError)
    │   ├── ArgumentError             an argument that does not fit its annotation (also a TypeError)
    │   ├── UnknownProcessClassError  the node does not have that class
    │   ├── ProcessCrash              raised by a handler to end its process, and not in order
    │   ├── NameTakenError            another process has that name
    │   ├── SpecConflict              a child of that name runs already, and is another one
    │   ├── ChildStartError           a distributed child could not be started; says where and why
    │   └── NoSuchNameError           no process has that name
    ├── CallError
    │   ├── NotDelivered              surely not executed
    │   │   ├── Overloaded            because too much waits already
    │   │   └── NoSuchProcessError    the process does not exist, or no longer (also a ProcessError)
    │   ├── CallTimeout               no answer in time; the outcome is unknown (also a TimeoutError)
    │   ├── NodeDown                  the node went down; the outcome is unknown
    │   ├── DeadlockError             somewhere down the line a call would have waited for itself, and was refused
    │   └── RemoteError               raised by the handler over there; carries its traceback as text
    ├── NoEligibleNodeError           no member can run that process
    ├── NotTrackedError               nobody is present there under that key
    ├── ReconfigurationRefused        a node cannot take a value; no node goes by it
    ├── ClockDriftError               a time stamp from too far in the future
    └── in foundation.testing.errors
        ├── SimulationError           a simulated run went wrong
        │   ├── StuckError            nothing is left to do, or the limit is reached; says what every node waits for
        │   ├── HostKilledError       the simulated host was killed before that was finished
        │   └── NotSimulatedError     the simulation does not have that (also a NotImplementedError)
        ├── UnsupportedFault          that kind of cluster cannot bring about that fault (also a NotImplementedError)
        └── WaitFailed                what a test waited for did not come (also an AssertionError)
"""

from __future__ import annotations


class FoundationError(Exception):
    """The root of all errors of this library."""


class ConfigurationError(FoundationError):
    """A configured value cannot be used."""


class UnknownStrategyError(ConfigurationError):
    """No adapter has that name."""


class MissingExtraError(ConfigurationError):
    """An optional package is not installed; the message names the `pip install` line."""


class LifecycleError(FoundationError):
    """Something was used at the wrong time of its life."""


class NotRunningError(LifecycleError):
    """It has not been started, or it has been stopped."""


class AlreadyRunningError(LifecycleError):
    """It runs already, and only one may."""


class RunningLoopError(LifecycleError, RuntimeError):
    """A blocking call was made in a thread in which an event loop is running."""


class DiscoveryError(FoundationError):
    """A discovery strategy cannot do its work at the moment; it is tried again."""


class FabricError(FoundationError):
    """Something went wrong on the way between nodes."""


class ListenError(FabricError):
    """The address to listen on cannot be bound."""


class HandshakeError(FabricError):
    """The other side did not prove that it belongs to this cluster."""


class RefusedError(HandshakeError):
    """The other side refused this node and said why.

    ``reason`` is one of the words of :class:`foundation.fabric.handshake.Refusal`.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnreachableError(FabricError):
    """Nobody answers at the address.

    ``connection_refused`` is true when the host answered that no program listens there: the process is gone, the
    machine is not.
    """

    def __init__(self, message: str, *, connection_refused: bool = False) -> None:
        super().__init__(message)
        self.connection_refused = connection_refused


class FabricLostError(FabricError):
    """The session that carries this node is gone; the node cannot go on."""


class CodecError(FabricError):
    """Bytes from outside do not have the shape they should have."""


class ProcessError(FoundationError):
    """A process cannot be defined, started or found."""


class ProcessDefinitionError(ProcessError, TypeError):
    """The class cannot be a process; raised when the class is made."""


class ArgumentError(ProcessError, TypeError):
    """An argument does not fit the annotation of its parameter; raised at the caller, before anything is sent."""


class UnknownProcessClassError(ProcessError):
    """The node has not imported the class with that wire name."""


class ProcessCrash(ProcessError):  # noqa: N818 - says what is to happen
    """Raised by a handler: it cannot go on, and its process ends, not in order, without `stopping`.

    The caller gets a :class:`RemoteError`. Any other error of a handler is the caller's, and the process lives on.
    """


class NameTakenError(ProcessError):
    """Another process has the name already."""


class SpecConflict(ProcessError):  # noqa: N818 - as Conflict in the field
    """A distributed child of that name runs already, with another class, other arguments or another placement."""


class ChildStartError(ProcessError):
    """A distributed child could not be started."""

    def __init__(self, message: str, error_type: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        """``module:qualname`` of the error over there."""


class NoSuchNameError(ProcessError):
    """No process in the cluster has the name."""


class CallError(FoundationError):
    """A call did not come back with a result."""


class NotDelivered(CallError):  # noqa: N818 - the words of the field, as in NodeDown
    """The message was surely not handled: it is safe to send it again."""


class Overloaded(NotDelivered):
    """The bounded queue in front of the receiver is full."""


class NoSuchProcessError(ProcessError, NotDelivered):
    """The process does not exist, or no longer."""


class DeadlockError(CallError):
    """A call leads back to a process that waits for it, so it was refused; the message names the chain."""


class CallTimeout(CallError, TimeoutError):  # noqa: N818
    """No answer before the deadline. The handler may have run, or may yet."""


class NodeDown(CallError):  # noqa: N818
    """The node of the process went down before it answered. The handler may have run."""


class RemoteError(CallError):
    """The handler raised, over there.

    When the type of the original error is known here, that type is raised and this error is its ``__cause__``.
    ``error_type`` is the qualified name of the original, ``remote_traceback`` its traceback as text.
    """

    def __init__(self, message: str, *, error_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        """Show the remote traceback below the message, as it would look over there."""
        text = super().__str__()
        return f"{text}\n\nremote traceback:\n{self.remote_traceback}" if self.remote_traceback else text


class NoEligibleNodeError(FoundationError):
    """No member of the cluster can run the process."""


class NotTrackedError(FoundationError):
    """Nothing is tracked under that topic and key for that process or node."""


class ReconfigurationRefused(FoundationError):  # noqa: N818 - says what happened, as NodeDown does
    """A node does not take a change of the configuration, so no node does."""

    def __init__(self, node: str, key: str, reason: str) -> None:
        super().__init__(f"{node} refuses to change {key or 'anything'}, so no node does: {reason}")
        self.node = node
        """The name of the node."""
        self.key = key
        """The key whose value it cannot take; empty when that is not the reason."""
        self.reason = reason


class ClockDriftError(FoundationError):
    """A time stamp from too far in the future was refused: some node's wall clock is wrong."""
