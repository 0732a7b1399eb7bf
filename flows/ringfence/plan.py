"""A plan as the allocator takes it: demands and policy, from YAML or CSV."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import ConfigurationError
from contracts.ringfence.model import HAS_LINK, AllocationPolicy, Demand
from contracts.ringfence.plan import PlanPolicy, RingFencePlan
from flows.ringfence.demand_csv import read_demand_csv, read_text
from flows.ringfence.hash_chain import canonical

MOST_FAULTS = 20
Model = TypeVar("Model", bound=BaseModel)


class YamlLines:
    """Lines of a YAML document by the path of an entry."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._root = root

    def __call__(self, path: Sequence[str | int]) -> int:
        """Return the line of an entry, or of the deepest part of its path that exists."""
        node, line = self._root, 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == step]
                if not found:
                    continue  # pydantic names branches of a union in its paths
                key, node = found[0]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
        return line


def read_yaml(text: str, name: str, model: type[Model]) -> tuple[Model, YamlLines]:
    """Return a validated document and its lines.

    Args:
        text: of the file; ``name``: of the file, for messages.
        model: what the document must be.

    Raises:
        ConfigurationError: not YAML, a key twice, or an entry is wrong; tells every line (up to 20).
    """
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        _refuse_twice(root, name)
        document: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text, lists and maps
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        raise ConfigurationError("is not valid YAML", where=f"{name} line {mark.line + 1}" if mark else name) from None
    except RecursionError:
        raise ConfigurationError("is nested too deeply", where=name) from None
    lines = YamlLines(root)
    try:
        return model.model_validate(document), lines
    except ValidationError as fault:
        raise ConfigurationError(_told(fault, lines), where=name) from None


def _refuse_twice(root: yaml.Node | None, name: str) -> None:
    seen: set[int] = set()
    nodes = [root] if root is not None else []
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value if isinstance(key, yaml.ScalarNode) else "" for key, _ in node.value]
            for place, (key, value) in enumerate(node.value):
                if keys[place] in keys[:place]:
                    raise ConfigurationError("a key comes twice", where=f"{name} line {key.start_mark.line + 1}")
                nodes.append(value)
        else:
            nodes += node.value


def _told(fault: ValidationError, lines: YamlLines) -> str:
    told: dict[str, None] = {}
    for error in fault.errors(include_input=False, include_url=False):
        place = [step for step in error["loc"] if isinstance(step, str)]
        said = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            said = "is not known here"
        told[f"line {lines(error['loc'])}: {place[-1] if place else 'document'}: {said}"] = None
    more = f"; and {len(told) - MOST_FAULTS} more" if len(told) > MOST_FAULTS else ""
    return "; ".join(list(told)[:MOST_FAULTS]) + more


YAML_NAMES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class AllocationPlan:
    """Demands and policy of a plan.

    Attributes:
        name: of the file.
        cut: the cut it is for; empty: any.
    """

    name: str
    demands: tuple[Demand, ...]
    policy: AllocationPolicy
    cut: str = ""

    def digest(self) -> str:
        """Return the digest of what the plan asks for: neither layout nor order of lines counts."""
        demands = [asdict(demand) | {"where": ""} for demand in sorted(self.demands, key=lambda demand: demand.key)]
        document = {"demands": demands, "policy": asdict(self.policy)}
        return hashlib.sha256(canonical(document).encode()).hexdigest()


def read_plan(path: Path) -> AllocationPlan:
    """Read a plan: YAML by its name, else a CSV demand book.

    Raises:
        ConfigurationError: it cannot be read, or is not a plan; tells every faulty line.
    """
    text = read_text(path)
    if path.suffix.lower() not in YAML_NAMES:
        return _checked(AllocationPlan(path.name, tuple(read_demand_csv(text, path.name)), AllocationPolicy()))
    document, lines = read_yaml(text, path.name, RingFencePlan)
    demands = tuple(
        replace(demand, where=f"{path.name} line {lines(place)}") for place, demand in document.demands()
    )  # fmt: skip
    return _checked(AllocationPlan(path.name, demands, document.policy.allocation_policy(), document.cut))


def read_policy(path: Path) -> AllocationPolicy:
    """Read a file that holds the ``policy`` section of a plan alone.

    Raises:
        ConfigurationError: it cannot be read, or is not a policy.
    """
    return read_yaml(read_text(path), path.name, PlanPolicy)[0].allocation_policy()


def _checked(plan: AllocationPlan) -> AllocationPlan:
    """Refuse demands that come twice.

    Raises:
        ConfigurationError: names both lines.
    """
    seen: dict[tuple[object, ...], Demand] = {}
    for demand in plan.demands:
        first = seen.setdefault(demand.key, demand)
        if first is not demand:
            raise ConfigurationError(
                f"test case {demand.label()} comes twice in round {demand.round}, first in {first.where}",
                where=demand.where,
            )
    return plan


def check_attributes(plan: AllocationPlan, columns: Collection[str]) -> None:
    """Refuse criteria on attributes that the population does not have.

    Raises:
        ConfigurationError: names the lines, and what may have been meant.
    """
    faults: dict[str, None] = {}
    for demand in plan.demands:
        for criterion in (*demand.criteria, *demand.export_criteria):
            if criterion.attribute not in columns and criterion.attribute != HAS_LINK:
                close = difflib.get_close_matches(criterion.attribute, list(columns), 1)
                meant = f", perhaps {close[0]}" if close else ""
                line = demand.where.removeprefix(f"{plan.name} ")
                faults[f"{line}: the population has no attribute {criterion.attribute}{meant}"] = None
    if faults:
        shown = list(faults)[:20]
        more = f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else ""
        raise ConfigurationError("; ".join(shown) + more, where=plan.name, remedy=f"it has {', '.join(columns)}")
