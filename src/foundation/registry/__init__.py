"""Names of processes, unique in the whole cluster while it is whole, and one of each after a heal."""

from foundation.registry.events import NameEvent, NameReason
from foundation.registry.names import Names
from foundation.registry.options import RegistryOptions
from foundation.registry.rows import NAMES, NameRow

__all__ = ["NAMES", "NameEvent", "NameReason", "NameRow", "Names", "RegistryOptions"]
