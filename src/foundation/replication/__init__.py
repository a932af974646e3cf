"""State that all nodes hold: each writes its own table, and all tables reach everybody.

Layers above keep their rows here and watch those of others; hiding the rows of who is gone is their work.
"""

from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Change
from foundation.replication.replication import Replication
from foundation.replication.sync import Sync

__all__ = ["Change", "Replication", "ReplicationOptions", "Sync"]
