"""The wire: sessions that carry presence, frames and topics between the nodes of one cluster."""

from foundation.core.channels import Channel
from foundation.fabric.fabric import Fabric, NodeAddress
from foundation.fabric.options import FabricOptions, TlsOptions

__all__ = ["Channel", "Fabric", "FabricOptions", "NodeAddress", "TlsOptions"]
