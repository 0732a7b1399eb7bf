"""The types that sections of the evidence are made of: names, counts, shares, dates, and keys that may be absent."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class _AbsentNotNull:
    """A key may be absent, but where JSON has it, it is not null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept None from code, where it leaves the key out, and refuse null in JSON."""
        nullable = handler(source)
        return core_schema.json_or_python_schema(json_schema=nullable["schema"], python_schema=nullable)


def _is_none(value: object) -> bool:
    return value is None


Maybe = Annotated[T | None, _AbsentNotNull(), Field(exclude_if=_is_none)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Heading = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Date = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Time = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+00:00)$",
        description="UTC.",
    ),
]


def _of(words: str) -> Any:
    """Describe a key that is always there."""
    return Field(description=words)


def _maybe(words: str) -> Any:
    """Describe a key that may be absent."""
    return Field(default=None, description=words)


def _null(words: str) -> Any:
    """Describe a key that may be null."""
    return Field(default=None, description=words)


def _empty(nothing: Any, words: str) -> Any:
    """Describe a key that may be absent, which is the same as empty."""
    return Field(default=nothing, description=words)


class Section(BaseModel):
    """A part of the evidence."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)
