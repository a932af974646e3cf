"""One owner for each child: where it runs, what becomes of it when its node goes, and how it moves."""

from foundation.distribution.children import Children
from foundation.distribution.distribution import Distribution
from foundation.distribution.messages import ChildReport, Order, Outcome
from foundation.distribution.options import DistributionOptions
from foundation.distribution.ownership import ownership
from foundation.distribution.plan import Placement, Plan, check_placement, encode_plan
from foundation.distribution.shards import Key

__all__ = [
    "ChildReport",
    "Children",
    "Distribution",
    "DistributionOptions",
    "Key",
    "Order",
    "Outcome",
    "Placement",
    "Plan",
    "check_placement",
    "encode_plan",
    "ownership",
]
