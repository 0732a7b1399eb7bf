"""The physical form in which each participant hands over its extracts, and the sinks that write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from flows.sample.codes import COMPACT, DAY_FIRST, ISO
from flows.sample.defects import SCHEMA
from flows.sample.writers import Delimited, Parquet, Plain, Sink

EES_HEADERS = [
    "MPAN Core", "Supplier", "Registration From", "GSP Group", "Profile Class", "MTC", "LLFC", "SSC", "Measurement Class",
    "Energisation Status", "DC", "DA", "MOP", "Domestic Premises Indicator", "DCC Service Flag", "Related MPAN",
    *(f"Address Line {n}" for n in range(1, 10)), "Postcode", "UPRN", "Disconnection Date",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SampleExtract:
    """One extract of one participant: where it lies, and how dates are written in it (``None``: as dates)."""

    participant: str
    role: str
    contract: str
    path: str
    dates: str | None = ISO
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.participant}/{self.contract} {self.path}"


EXTRACTS = (
    SampleExtract("EELC", "LDSO", "registration", "EELC/registration.csv", DAY_FIRST),
    SampleExtract(
        "YELG",
        "LDSO",
        "registration",
        "YELG/registration.csv",
        COMPACT,
        (("encoding", "cp1252"), ("delimiter", "pipe")),
    ),
    SampleExtract("IPNL", "LDSO", "registration", "IPNL/registration.parquet", None),
    SampleExtract("SUPA", "SUP", "portfolio", "SUPA/portfolio.csv.gz", ISO),
    SampleExtract("SUPB", "SUP", "portfolio", "SUPB/portfolio.tsv", DAY_FIRST, (("form", "csv"), ("delimiter", "tab"))),
    SampleExtract(
        "SUPC", "SUP", "portfolio", "SUPC/portfolio.zip", COMPACT, (("form", "csv"), ("member", "portfolio.csv"))
    ),
    SampleExtract("MOPA", "MOP", "metering", "MOPA/D0150.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("MOPA", "MOP", "register", "MOPA/D0150.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("MOPA", "MOP", "metering", "MOPA/D0268.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("MOPA", "MOP", "register", "MOPA/D0268.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("MOPB", "MOP", "metering", "MOPB/metering.csv", ISO),
    SampleExtract("MOPB", "MOP", "register", "MOPB/register.csv", ISO),
    SampleExtract("DCOL", "DC", "annual_consumption", "DCOL/D0019.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("DCOL", "DC", "meter_reading", "DCOL/D0010.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("DCOL", "DC", "half_hourly", "DCOL/D0036.usr", COMPACT, (("form", "dtc"),)),
    SampleExtract("ELEX", "ELEXON", "bmu_mapping", "elexon/bmu_mapping.csv", DAY_FIRST),
)
DATE_COLUMNS = ("supplier_effective_from", "disconnection_date")
TRUTH = (
    "mpan_core",
    "market_segment",
    "connection_type",
    "energy_direction",
    "linked_mpan",
    "related_mpan",
    "premises",
)


def columns(contract: str) -> list[str]:
    """Return the columns of an extract in the order in which this package makes them."""
    return {
        "registration": [
            "mpan_core", "supplier_mpid", "supplier_effective_from", "gsp_group_id", "profile_class",
            "meter_timeswitch_code", "line_loss_factor_class_id", "standard_settlement_configuration_id",
            "measurement_class", "energisation_status", "data_collector_mpid", "data_aggregator_mpid",
            "meter_operator_mpid", "domestic_premises_indicator", "dcc_service_flag", "related_mpan",
            *(f"address_line_{n}" for n in range(1, 10)), "postcode", "uprn", "disconnection_date",
        ],
        "portfolio": [
            "mpan_core", "supplier_mpid", "supplier_effective_from", "data_collector_mpid", "meter_operator_mpid",
            "meter_serial_number", "measurement_class", "energisation_status",
        ],
        "metering": [
            "mpan_core", "meter_serial_number", "meter_type", "make_and_model", "meter_install_date", "esme_id",
            "meter_asset_provider_mpid",
        ],
        "register": [
            "mpan_core", "meter_serial_number", "register_id", "measurement_quantity", "multiplier", "number_of_digits",
        ],
        "bmu_mapping": ["mpan_core", "bm_unit_id", "effective_from"],
    }[contract]  # fmt: skip


def _upper(contract: str) -> list[str]:
    return [name.upper() for name in columns(contract)]


def sinks(folder: Path) -> dict[str, Sink]:
    """Open every file that grows with the population, by path below ``folder``."""
    dated = {name: pa.date32() for name in DATE_COLUMNS}
    schema = pa.schema([(name, dated.get(name, pa.string())) for name in columns("registration")])
    truth = pa.schema([(name, pa.int64() if name == "premises" else pa.string()) for name in TRUTH])
    for extract in EXTRACTS:
        (folder / extract.path).parent.mkdir(parents=True, exist_ok=True)
    return {
        "EELC/registration.csv": Delimited(folder / "EELC/registration.csv", EES_HEADERS),
        "YELG/registration.csv": Delimited(
            folder / "YELG/registration.csv", _upper("registration"), "|", "\r\n", cp1252=True
        ),
        "IPNL/registration.parquet": Parquet(folder / "IPNL/registration.parquet", schema),
        "SUPA/portfolio.csv.gz": Delimited(folder / "SUPA/portfolio.csv.gz", _upper("portfolio")),
        "SUPB/portfolio.tsv": Delimited(folder / "SUPB/portfolio.tsv", _upper("portfolio"), "\t"),
        "SUPC/portfolio.zip": Delimited(folder / "SUPC/portfolio.zip", _upper("portfolio")),
        "MOPA/D0150.usr": Plain(folder / "MOPA/D0150.usr"),
        "MOPA/D0268.usr": Plain(folder / "MOPA/D0268.usr"),
        "MOPB/metering.csv": Delimited(folder / "MOPB/metering.csv", _upper("metering"), bom=True),
        "MOPB/register.csv": Delimited(folder / "MOPB/register.csv", _upper("register"), bom=True),
        "DCOL/D0019.usr": Plain(folder / "DCOL/D0019.usr"),
        "DCOL/D0010.usr": Plain(folder / "DCOL/D0010.usr"),
        "DCOL/D0036.usr": Plain(folder / "DCOL/D0036.usr"),
        "elexon/bmu_mapping.csv": Delimited(folder / "elexon/bmu_mapping.csv", _upper("bmu_mapping")),
        "defects.csv": Delimited(folder / "defects.csv", list(SCHEMA)),
        "truth.parquet": Parquet(folder / "truth.parquet", truth),
    }
