"""The sample market: who takes part, and the settlement configurations a metering point can have.

A product is a kind of supply (domestic two-rate, unmetered, HV half-hourly ...). A configuration is a product with
one meter timeswitch code, line loss factor class and standard settlement configuration. Every configuration is
valid in the market domain data on the cut date; the tables that say so are written from the same lists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.sample.codes import Vocabulary, lookup

DISTRIBUTORS = ("EELC", "YELG", "IPNL")
DISTRIBUTOR_IDS = np.array([10, 23, 24])
SUPPLIERS = ("SUPA", "SUPB", "SUPC")
METER_OPERATORS = ("MOPA", "MOPB")
COLLECTOR, AGGREGATOR, ELEXON = "DCOL", "DAGG", "ELEX"
CLOSED_SUPPLIER, UNKNOWN = "SUPZ", "QQQQ"
ASSET_PROVIDERS = ("AMAP", "BMAP", "CMAP")
# GSP group of each distributor; an IDNO works in several
DISTRIBUTOR_GROUPS = {"EELC": ("_A",), "YELG": ("_M",), "IPNL": ("_A", "_M", "_B", "_L")}

MPID = Vocabulary([*DISTRIBUTORS, *SUPPLIERS, *METER_OPERATORS, COLLECTOR, AGGREGATOR, CLOSED_SUPPLIER, UNKNOWN])
MAP_MPID = Vocabulary(ASSET_PROVIDERS)
GSP = Vocabulary(["_A", "_M", "_B", "_L", "_I", "_C"])
PROFILE = Vocabulary([*(f"{n:02d}" for n in range(9)), "09"])
CLASS = Vocabulary([*"ABCDEFG", "Z"])
STATUS = Vocabulary(["E", "D", "X"])
FLAG = Vocabulary(["T", "F", "X"])
DCC_FLAG = Vocabulary(["A", "I", "N", "Q"])


@dataclass(frozen=True, slots=True)
class LossClass:
    """A line loss factor class: what it is, and its indicator (A or B import, C or D export; B and D one site)."""

    key: str
    description: str
    indicator: str


LOSS_CLASSES = (
    LossClass("dom1", "LV Domestic Unrestricted", "A"),
    LossClass("dom1b", "LV Domestic Unrestricted Network 2", "A"),
    LossClass("dom2", "LV Domestic Two Rate", "A"),
    LossClass("domoff", "LV Domestic Off Peak Related", "A"),
    LossClass("nd1", "LV Non-Domestic Unrestricted", "A"),
    LossClass("nd2", "LV Non-Domestic Two Rate", "A"),
    LossClass("md", "LV Whole Current Maximum Demand", "A"),
    LossClass("mdct", "LV CT Maximum Demand", "A"),
    LossClass("ums", "Unmetered Supplies Category B", "A"),
    LossClass("umshh", "Unmetered Supplies Half Hourly", "A"),
    LossClass("hhdom", "LV Domestic Half Hourly Whole Current", "A"),
    LossClass("hhwc", "LV Non-Domestic Half Hourly Whole Current", "A"),
    LossClass("hhct", "LV CT Half Hourly", "A"),
    LossClass("hhhv", "HV Half Hourly", "A"),
    LossClass("hhehv", "EHV Site 1 Import", "B"),
    LossClass("exwc", "LV Generation Whole Current Half Hourly", "C"),
    LossClass("exnhh", "LV Generation Whole Current Non Half Hourly", "C"),
    LossClass("exct", "LV CT Generation Half Hourly", "C"),
    LossClass("exhv", "HV Generation Half Hourly", "C"),
    LossClass("exehv", "EHV Site 1 Export", "D"),
    LossClass("closed", "LV Domestic Unrestricted Closed Network", "A"),  # ended the day before the cut
)
_LOSS_KEYS = [item.key for item in LOSS_CLASSES]


def loss_code(distributor: str, key: str) -> str:
    """Return the three-character code of a line loss factor class: each distributor has codes of its own."""
    n = _LOSS_KEYS.index(key) + 1
    return {"EELC": f"{n:03d}", "YELG": f"{400 + n:03d}", "IPNL": f"N{n:02d}"}[distributor]


LLFC = Vocabulary([*(loss_code(d, key) for d in DISTRIBUTORS for key in _LOSS_KEYS), "ZZ9"])

# code -> (description, common, related, half-hourly, registers)
TIMESWITCHES: dict[str, tuple[str, bool, bool, bool, int]] = {
    "801": ("Unrestricted, one rate", True, False, False, 1),
    "802": ("Two rate, day and night", True, False, False, 2),
    "023": ("Two rate, local radio", False, False, False, 2),
    "117": ("Two rate, local radio", False, False, False, 2),
    "310": ("Two rate, local radio", False, False, False, 2),
    "500": ("Related, unrestricted primary", True, True, False, 1),
    "501": ("Related, off-peak secondary", True, True, False, 1),
    "845": ("Half hourly, CoP5 or better, with communications", True, False, True, 1),
    "847": ("Half hourly unmetered", True, False, True, 1),
    "857": ("Non half hourly unmetered", True, False, False, 1),
    "881": ("Non half hourly export", True, False, False, 1),
}
LOCAL_TIMESWITCH = {"EELC": "023", "YELG": "117", "IPNL": "310"}
MTC = Vocabulary(TIMESWITCHES)

# code -> (description, type I or E, time pattern regimes)
CONFIGURATIONS_OF_RATES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "0393": ("Unrestricted", "I", ("00001",)),
    "0151": ("Economy 7 midnight", "I", ("00043", "00210")),
    "0244": ("Economy 7 half past midnight", "I", ("00044", "00206")),
    "0127": ("Evening and weekend", "I", ("00039", "00041")),
    "0425": ("Off peak related", "I", ("00212",)),
    "0430": ("Unmetered continuous", "I", ("00258",)),
    "0431": ("Unmetered dusk to dawn", "I", ("00259",)),
    "0812": ("Export unrestricted", "E", ("00950",)),
}
SSC = Vocabulary(CONFIGURATIONS_OF_RATES)
TPR = Vocabulary(sorted({t for _, _, regimes in CONFIGURATIONS_OF_RATES.values() for t in regimes}))


@dataclass(frozen=True, slots=True)
class Product:
    """A kind of supply.

    Attributes:
        key: its name here.
        fields: profile class, measurement class, domestic premises indicator, connection type, meter class.
        switches: meter timeswitch codes it may have; ``local`` is the distributor's own.
        losses: keys of the line loss factor classes it may have.
        rates: standard settlement configurations it may have; empty when half-hourly.
        weight: how many of 10,000 import metering points are of this product.
        export: product of an export metering point at the same premises, empty where there is none.
    """

    key: str
    fields: tuple[str, str, str, str, str]
    switches: tuple[str, ...]
    losses: tuple[str, ...]
    rates: tuple[str, ...] = ()
    weight: int = 0
    export: str = ""

    @property
    def metered(self) -> bool:
        return self.fields[4] != "none"

    @property
    def exports(self) -> bool:
        return self.losses[0].startswith("ex")


PRODUCTS = (
    Product("dom1", ("01", "A", "T", "W", "dom1"), ("801",), ("dom1", "dom1b"), ("0393",), 5600, "exdom"),
    Product("dom2", ("02", "A", "T", "W", "dom2"), ("802", "local"), ("dom2",), ("0151", "0244"), 1800, "exdom"),
    Product("nd1", ("03", "A", "F", "W", "nd"), ("801",), ("nd1",), ("0393",), 1000, "exnhh"),
    Product("nd2", ("04", "A", "F", "W", "nd"), ("802",), ("nd2",), ("0151", "0127"), 400, "exhh"),
    Product("md5", ("05", "A", "F", "W", "md"), ("801",), ("md",), ("0393",), 40, "exnhh"),
    Product("md6", ("06", "A", "F", "W", "md"), ("801",), ("md",), ("0393",), 30),
    Product("md7", ("07", "A", "F", "L", "md"), ("801",), ("mdct",), ("0393",), 30),
    Product("md8", ("08", "A", "F", "L", "md"), ("801",), ("mdct",), ("0393",), 60),
    Product("ums", ("08", "B", "F", "U", "none"), ("857",), ("ums",), ("0430", "0431"), 120),
    Product("umshh", ("00", "D", "F", "U", "none"), ("847",), ("umshh",), (), 10),
    Product("hhct", ("00", "C", "F", "L", "hh"), ("845",), ("hhct",), (), 60, "exct100"),
    Product("hhhv", ("00", "C", "F", "H", "hh"), ("845",), ("hhhv",), (), 25, "exhv"),
    Product("hhehv", ("00", "C", "F", "E", "hh"), ("845",), ("hhehv",), (), 5, "exehv"),
    Product("hhct2", ("00", "E", "F", "L", "hh"), ("845",), ("hhct",), (), 170, "exct"),
    Product("hhdom", ("00", "F", "T", "W", "hhdom"), ("845",), ("hhdom",), (), 300, "exdom"),
    Product("hhwc", ("00", "G", "F", "W", "hhwc"), ("845",), ("hhwc",), (), 350, "exhh"),
    Product("rel1", ("01", "A", "T", "W", "dom1"), ("500",), ("dom1",), ("0393",)),
    Product("rel2", ("02", "A", "T", "W", "dom1"), ("501",), ("domoff",), ("0425",)),
    Product("exdom", ("00", "F", "T", "W", "dom1"), ("845",), ("exwc",)),
    Product("exhh", ("00", "G", "F", "W", "nd"), ("845",), ("exwc",)),
    Product("exnhh", ("08", "A", "F", "W", "nd"), ("881",), ("exnhh",), ("0812",)),
    Product("exct100", ("00", "C", "F", "L", "hh"), ("845",), ("exct",)),
    Product("exct", ("00", "E", "F", "L", "hh"), ("845",), ("exct",)),
    Product("exhv", ("00", "C", "F", "H", "hh"), ("845",), ("exhv",)),
    Product("exehv", ("00", "C", "F", "E", "hh"), ("845",), ("exehv",)),
)
PRODUCT_KEYS = [p.key for p in PRODUCTS]
# one in how many configurations of a product with a choice takes the second timeswitch, loss class or rates
SECOND_CHOICE = {"switch": 4, "loss": 6, "rates": 5}
PICK_PRODUCT = lookup({n: p.weight for n, p in enumerate(PRODUCTS) if p.weight}, 10_000)


CONNECTION = Vocabulary("WLHEU")
PC_OF = PROFILE.codes([p.fields[0] for p in PRODUCTS])
MC_OF = CLASS.codes([p.fields[1] for p in PRODUCTS])
DPI_OF = FLAG.codes([p.fields[2] for p in PRODUCTS])
CONNECTION_OF = CONNECTION.codes([p.fields[3] for p in PRODUCTS])
METER_CLASSES = ("none", "dom1", "dom2", "nd", "md", "hhdom", "hhwc", "hh")
METER_CLASS_OF = np.array([METER_CLASSES.index(p.fields[4]) for p in PRODUCTS])
EXPORT_OF = np.array([PRODUCT_KEYS.index(p.export) if p.export else -1 for p in PRODUCTS])
EXPORTS = np.array([p.exports for p in PRODUCTS])


def choices(product: Product, distributor: str) -> list[tuple[str, str, str | None]]:
    """Return all (timeswitch, loss class code, rates) a product can have with a distributor."""
    switches = [LOCAL_TIMESWITCH[distributor] if s == "local" else s for s in product.switches]
    losses = [loss_code(distributor, key) for key in product.losses]
    return [(s, c, r) for s in switches for c in losses for r in (product.rates or (None,))]


def _axis(attribute: int, vocabulary: Vocabulary) -> np.ndarray:
    """Return ``[distributor, product, first or second choice]`` -> code."""
    table = np.zeros((len(DISTRIBUTORS), len(PRODUCTS), 2), dtype=np.int64)
    for d, distributor in enumerate(DISTRIBUTORS):
        for p, product in enumerate(PRODUCTS):
            texts = list(dict.fromkeys(choice[attribute] for choice in choices(product, distributor)))
            table[d, p] = vocabulary.codes([texts[0], texts[-1]])
    return table


MTC_OF, LLFC_OF, SSC_OF = _axis(0, MTC), _axis(1, LLFC), _axis(2, SSC)
# code of an SSC -> codes of its first and second time pattern regime, 0 where there is none
REGIMES_OF = np.array(
    [[0, 0], *([*TPR.codes(regimes), 0][:2] for _, _, regimes in CONFIGURATIONS_OF_RATES.values())], dtype=np.int64
)
