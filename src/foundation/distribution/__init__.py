"""One owner for each child: where it runs, what becomes of it when its node goes, and how it moves."""

from foundation.distribution.children import Children
from foundation.distribution.distribution import Distribution
from foundation.distribution.messages import ChildReport, Order, Outcome
from foundation.distribution.options import DistributionOptions
from foundation.distribution.plan import Placement, Plan, check_placement, encode_plan

__all__ = [
    "ChildReport",
    "Children",
    "Distribution",
    "DistributionOptions",
    "Order",
    "Outcome",
    "Placement",
    "Plan",
    "check_placement",
    "encode_plan",
]
