"""JSON whose keys no model of ours can name: messages, documents not checked yet, arguments of other libraries."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import JsonValue

JsonObject: TypeAlias = dict[str, JsonValue]
