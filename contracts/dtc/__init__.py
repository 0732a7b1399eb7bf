"""The Data Transfer Catalogue as data: layouts of the flows that the product reads, and a parser of its CSV form."""

from contracts.dtc.catalogue import catalogue_text, parse_catalogue
from contracts.dtc.model import Cardinality, Flow, FlowItem, Group
from contracts.dtc.shipped import shipped_flow, shipped_flows

__all__ = [
    "Cardinality",
    "Flow",
    "FlowItem",
    "Group",
    "catalogue_text",
    "parse_catalogue",
    "shipped_flow",
    "shipped_flows",
]
