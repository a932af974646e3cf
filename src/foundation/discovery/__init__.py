"""Finding peers: strategies look, the framework polls, and what it finds is only ever added."""

from foundation.discovery.catalog import make_strategy
from foundation.discovery.discovery import Discovery
from foundation.discovery.options import DiscoveryOptions
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy

__all__ = ["Announcement", "Discovery", "DiscoveryOptions", "DiscoveryStrategy", "Peer", "make_strategy"]
