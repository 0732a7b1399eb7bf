"""The population of one chunk as numpy columns: metering points before any text is made and any defect is planted.

Import and export metering points, and related ones, share premises inside a chunk. A clean population keeps rules
R1-R9 and R11-R15: profile class, measurement class, meter timeswitch, loss class and SSC come from one configuration
of the market domain data, agents have their roles, meters their digits, pairs one meter and one voltage level.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flows.sample import market, meters
from flows.sample.codes import CUT_DAY
from flows.sample.permutation import mpan_cores, permute, pick
from flows.sample.request import SampleRequest

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
PRIMARY, EXPORT, SECONDARY = 0, 1, 2
EXPORTS_OF_100, RELATED_OF_1000 = 3, 5
_COLLECTOR = market.MPID.code(market.COLLECTOR)
_AGGREGATOR = market.MPID.code(market.AGGREGATOR)
_FIRST_SUPPLIER = market.MPID.code(market.SUPPLIERS[0])
_FIRST_OPERATOR = market.MPID.code(market.METER_OPERATORS[0])
_ENERGISED, _DE_ENERGISED = market.STATUS.code("E"), market.STATUS.code("D")
_RELATED_PRIMARY, _RELATED_SECONDARY = (market.PRODUCT_KEYS.index(key) for key in ("rel1", "rel2"))
_UNRESTRICTED = market.PRODUCT_KEYS.index("dom1")
_BODY = 10**5


@dataclass(slots=True)
class SamplePopulation:
    """One entry per metering point in each column. Codes point into the vocabularies of ``market`` and ``meters``.

    ``owner`` is the row whose premises it shares (its own for a primary), ``fault`` the planted defect. The columns
    from ``holder`` on say what other participants believe; they follow the registration until a defect is planted.
    ``texts`` holds the few values that no code can express: column -> row -> text as it stands in the files.
    """

    index: Ints
    kind: Ints
    owner: Ints
    distributor: Ints
    group: Ints
    product: Ints
    mpan: Ints
    supplier: Ints
    from_day: Ints
    status: Ints
    disconnected: Ints
    meters: Ints
    type: Ints
    install: Ints
    related: Ints
    linked: Ints
    operator: Ints
    pc: Ints = field(init=False)
    mtc: Ints = field(init=False)
    llfc: Ints = field(init=False)
    ssc: Ints = field(init=False)
    mc: Ints = field(init=False)
    gsp: Ints = field(init=False)
    dpi: Ints = field(init=False)
    dcc: Ints = field(init=False)
    collector: Ints = field(init=False)
    aggregator: Ints = field(init=False)
    holder: Ints = field(init=False)
    held_from: Ints = field(init=False)
    held_operator: Ints = field(init=False)
    held_collector: Ints = field(init=False)
    held_class: Ints = field(init=False)
    held_status: Ints = field(init=False)
    meterer: Ints = field(init=False)
    rates: Ints = field(init=False)
    mapped_supplier: Ints = field(init=False)
    mapped_group: Ints = field(init=False)
    mapped_from: Ints = field(init=False)
    meter_of: Ints = field(init=False)
    esme_of: Ints = field(init=False)
    esme: Flags = field(init=False)
    extra_digit: Ints = field(init=False)
    quantity_export: Flags = field(init=False)
    in_portfolio: Flags = field(init=False)
    in_mapping: Flags = field(init=False)
    in_others: Flags = field(init=False)
    fault: Ints = field(init=False)
    twice: dict[int, int] = field(default_factory=dict)
    texts: dict[str, dict[int, str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def premises(self) -> Ints:
        """Premises of each metering point: the ordinal of the primary one there."""
        return self.index[self.owner]

    @property
    def exports(self) -> Flags:
        return market.EXPORTS[self.product]

    @property
    def half_hourly(self) -> Flags:
        without_profile: Flags = market.PC_OF[self.product] == market.PROFILE.code("00")
        return without_profile


def generator(request: SampleRequest, chunk: int) -> np.random.Generator:
    """Return the chunk's own stream of random numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([request.seed, chunk])))


def populate(request: SampleRequest, chunk: int, rng: np.random.Generator) -> SamplePopulation:
    """Make the clean population of a chunk (see the module)."""
    base = chunk * request.chunk
    n = min(request.chunk, request.mpans - base)
    index = np.arange(base, base + n)
    rows = np.arange(n)
    share = rng.integers(0, 100, n)
    distributor = np.where(share < 50, 0, np.where(share < 90, 1, 2))
    group = np.where(distributor == 2, rng.integers(0, len(market.DISTRIBUTOR_GROUPS["IPNL"]), n), distributor)
    product = market.PICK_PRODUCT[rng.integers(0, 10_000, n)].astype(np.int64)
    share = rng.integers(0, 100, n)
    supplier = _FIRST_SUPPLIER + np.where(share < 45, 0, np.where(share < 80, 1, 2))
    people = SamplePopulation(
        index=index,
        kind=np.zeros(n, np.int64),
        owner=rows,
        distributor=distributor,
        group=group,
        product=product,
        mpan=np.zeros(n, np.int64),
        supplier=supplier,
        from_day=CUT_DAY - 5 - (rng.integers(0, 1 << 16, n) * rng.integers(0, 1 << 16, n) * 7300 >> 32),
        status=np.full(n, _ENERGISED),
        disconnected=np.zeros(n, np.int64),
        meters=np.zeros(n, np.int64),
        type=np.zeros(n, np.int64),
        install=np.zeros(n, np.int64),
        related=np.zeros(n, np.int64),
        linked=np.zeros(n, np.int64),
        operator=_FIRST_OPERATOR + (rng.integers(0, 100, n) >= 55),
    )
    _supply(people, rng)
    _associate(people, rng)
    _identify(people, request)
    _settle(people, rng)
    _believe(people)
    return people


def _supply(people: SamplePopulation, rng: np.random.Generator) -> None:
    """Energise, disconnect and meter the metering points."""
    n = len(people)
    metered = market.METER_CLASS_OF[people.product] > 0
    idle = rng.integers(0, 1000, n)
    gone = idle < 10
    people.status[idle < 40] = _DE_ENERGISED
    ended = CUT_DAY - 3 - rng.integers(0, 900, n)
    people.disconnected[gone] = np.maximum(ended, people.from_day)[gone]
    removed = gone | ((idle < 40) & (rng.integers(0, 2, n) == 0))
    people.meters[:] = np.where(metered & ~removed, 1 + (rng.integers(0, 100, n) == 0), 0)
    people.type[:] = meters.PICK_TYPE[market.METER_CLASS_OF[people.product], rng.integers(0, 1000, n)]
    age = rng.integers(0, 1 << 16, n)
    smart, advanced = meters.IS_SMART[people.type], meters.IS_ADVANCED[people.type]
    span = np.where(smart, 3_200, np.where(advanced, 5_500, 10_000))
    people.install[:] = CUT_DAY - np.where(smart | advanced, 20, 1_800) - (age * span >> 16)


def _associate(people: SamplePopulation, rng: np.random.Generator) -> None:
    """Turn some metering points into exports and related secondaries at the premises of others."""
    n = len(people)
    order = rng.permutation(n)
    exports, secondaries = np.split(
        order[: n * EXPORTS_OF_100 // 100 + n * RELATED_OF_1000 // 1000], [n * EXPORTS_OF_100 // 100]
    )
    free = np.ones(n, dtype=bool)
    free[exports] = free[secondaries] = False
    free &= (people.status == _ENERGISED) & (people.meters == 1)
    counted = meters.IS_SMART[people.type] | meters.IS_ADVANCED[people.type]
    nhh_export = market.EXPORT_OF[people.product] == market.PRODUCT_KEYS.index("exnhh")
    able = free & (market.EXPORT_OF[people.product] >= 0) & (counted | nhh_export)
    parents = rng.permutation(np.flatnonzero(able))[: exports.size]
    free[parents] = False
    exports = exports[: parents.size]
    _join(people, exports, parents, EXPORT)
    people.product[exports] = market.EXPORT_OF[people.product[parents]]
    for column in (people.type, people.install, people.operator):
        column[exports] = column[parents]
    other = rng.integers(0, 5, exports.size) == 0
    people.supplier[exports] = np.where(
        other, _FIRST_SUPPLIER + (people.supplier[parents] - _FIRST_SUPPLIER + 1) % 3, people.supplier[parents]
    )
    parents = rng.permutation(np.flatnonzero(free & (people.product == _UNRESTRICTED)))[: secondaries.size]
    secondaries = secondaries[: parents.size]
    _join(people, secondaries, parents, SECONDARY)
    people.product[parents], people.product[secondaries] = _RELATED_PRIMARY, _RELATED_SECONDARY
    for column in (people.supplier, people.type, people.install, people.operator):
        column[secondaries] = column[parents]


def _join(people: SamplePopulation, rows: Ints, parents: Ints, kind: int) -> None:
    people.kind[rows], people.owner[rows] = kind, parents
    people.status[rows], people.disconnected[rows], people.meters[rows] = _ENERGISED, 0, 1
    for column in (people.distributor, people.group):
        column[rows] = column[parents]


def _identify(people: SamplePopulation, request: SampleRequest) -> None:
    """Give every metering point its MPAN, and associated ones each other's."""
    left, right = permute(people.index, _BODY, _BODY, request.salt)
    people.mpan[:] = mpan_cores(market.DISTRIBUTOR_IDS[people.distributor], left * _BODY + right)
    for kind, column in ((EXPORT, people.linked), (SECONDARY, people.related)):
        rows = np.flatnonzero(people.kind == kind)
        column[rows], column[people.owner[rows]] = people.mpan[people.owner[rows]], people.mpan[rows]


def _settle(people: SamplePopulation, rng: np.random.Generator) -> None:
    """Give every metering point its settlement configuration and agents."""
    n = len(people)
    second = {name: (rng.integers(0, every, n) == 0).astype(int) for name, every in market.SECOND_CHOICE.items()}
    where = (people.distributor, people.product)
    people.pc, people.mc = market.PC_OF[people.product], market.MC_OF[people.product]
    people.mtc = market.MTC_OF[*where, second["switch"]]
    people.llfc = market.LLFC_OF[*where, second["loss"]]
    people.ssc = market.SSC_OF[*where, second["rates"]]
    people.rates = people.ssc.copy()
    people.gsp = people.group + 1
    people.dpi = market.DPI_OF[people.product]
    smart = meters.IS_SMART[people.type] & (people.meters > 0)
    joined = np.where(pick(people.premises, 11, 100) < 97, market.DCC_FLAG.code("A"), market.DCC_FLAG.code("I"))
    people.dcc = np.where(smart, joined, market.DCC_FLAG.code("N"))
    people.operator[market.METER_CLASS_OF[people.product] == 0] = 0
    people.collector, people.aggregator = np.full(n, _COLLECTOR), np.full(n, _AGGREGATOR)


def _believe(people: SamplePopulation) -> None:
    """Let every participant hold what the registration holds."""
    n = len(people)
    people.holder, people.mapped_supplier = people.supplier.copy(), people.supplier.copy()
    people.held_from, people.mapped_from = people.from_day.copy(), people.from_day.copy()
    people.held_operator, people.meterer = people.operator.copy(), people.operator.copy()
    people.held_collector, people.held_class = people.collector.copy(), people.mc.copy()
    people.held_status, people.mapped_group = people.status.copy(), people.gsp.copy()
    people.meter_of = np.where(people.exports, people.owner, np.arange(n))
    people.esme_of = people.meter_of.copy()
    people.esme = meters.IS_SMART[people.type] & (pick(people.premises, 13, 100) < 97)
    people.extra_digit = np.zeros(n, np.int64)
    people.quantity_export = people.exports
    people.in_portfolio, people.in_mapping, people.in_others = (np.ones(n, bool) for _ in range(3))
    people.fault = np.zeros(n, np.int64)
