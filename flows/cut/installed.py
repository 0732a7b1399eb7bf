"""What a light installation leaves out: which extra brings which library, and the line that says so."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from contracts.errors import PlaceError

# library -> its name for a person, and the extra that brings it; pyproject.toml says the same, and a test compares
EXTRAS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "prefect": ("Prefect", "si"),
        "ortools": ("OR-tools", "si"),
        "sqlalchemy": ("SQLAlchemy", "si"),
        "openlineage": ("openlineage-python", "si"),
        "psycopg": ("psycopg", "si"),
        "adbc_driver_postgresql": ("the ADBC driver", "postgres"),
        "prefect_dask": ("prefect-dask", "dask"),
    }
)


def require(*libraries: str, otherwise: str = "") -> None:
    """See that libraries are installed, without loading them.

    Args:
        otherwise: what else can be done, as the beginning of a remedy.

    Raises:
        PlaceError: one is not; with the line that installs it.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise _left_out(library, otherwise)


def left_out(fault: ModuleNotFoundError) -> PlaceError | None:
    """Return what to tell of a library that was not found: nothing where no extra has it, which is a defect."""
    library = (fault.name or "").partition(".")[0]
    return _left_out(library, "") if library in EXTRAS else None


def _left_out(library: str, otherwise: str) -> PlaceError:
    name, extra = EXTRAS[library]
    remedy = f"pip install 'datacut[{extra}]'"
    return PlaceError(f"{name} is not installed", remedy=f"{otherwise}, or {remedy}" if otherwise else remedy)
