"""Sources for the intake: written to a folder of the test, read to the end."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from hmac import HMAC
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.dtc.layout import DtcLayout
from contracts.errors import DataCutError
from flows.intake import Limits, Reader, SourceSpec, open_source

# Identifiers that no error may repeat: an MPAN core, a serial number, an address, a postcode, an ESME id.
CANARIES = ("1900000000071", "L71C99117", "SHADY OAK PADDOCK", "QZ7 7ZQ", "00-1D-24-77-77-77-77-77")
HEADER = "MPAN,Serial,Address,Postcode,ESME"
ROW = ",".join(CANARIES)

METERING = DtcLayout(
    flow="D0150",
    row_group="290",
    parents={"289": "288", "290": "288", "291": "290", "293": "290"},
    fields={
        "mpan_core": ("288", 1),
        "meter_serial_number": ("290", 1),
        "make_and_model": ("290", 5),
        "standard_settlement_configuration_id": ("289", 1),
    },
)


class Intake:
    """Writes bytes as a source and reads them back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader: Reader | None = None

    def write(self, data: bytes, name: str = "backup.csv") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def frame(self, data: bytes, name: str = "backup.csv", **options: Any) -> pl.DataFrame:
        return self.read(self.write(data, name), **options)

    def read(
        self,
        path: Path,
        *,
        limits: Limits = Limits(),
        layout: DtcLayout | tuple[DtcLayout, ...] | None = METERING,
        digest: HMAC | None = None,
        **options: Any,
    ) -> pl.DataFrame:
        spec = SourceSpec("SUPX/registration", path, **options)
        with open_source(spec, layout=layout, digest=digest, limits=limits) as reader:
            self.reader = reader
            frames = list(reader.batches())
        for frame in frames:
            assert frame.height
            assert tuple(frame.columns) == reader.header
            assert set(frame.dtypes) == {pl.String}
        return pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(reader.header, pl.String))

    def fault(self, data: bytes, name: str = "backup.csv", **options: Any) -> DataCutError:
        return self.fault_of(lambda: self.frame(data, name, **options))

    def fault_of(self, action: Callable[[], object]) -> DataCutError:
        with pytest.raises(DataCutError) as caught:
            action()
        clean(caught.value)
        return caught.value


def clean(error: DataCutError) -> None:
    """An expected failure is one line, has no cause to tell tales, and repeats no identifier."""
    printed = "".join(traceback.format_exception(error))
    assert "\n" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    for canary in CANARIES:
        assert canary not in printed
    assert error.exit_code in (2, 11, 12, 19)


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(tmp_path)
