"""What `datacut dtc mask` does with each item: the policy that is shipped, and the parser of one that is brought."""

from contracts.dtc.policy.model import AddressSet, IdentifierKind, MaskPolicy
from contracts.dtc.policy.parse import SHIPPED, parse_policy, shipped_policy_text

__all__ = ["SHIPPED", "AddressSet", "IdentifierKind", "MaskPolicy", "parse_policy", "shipped_policy_text"]
