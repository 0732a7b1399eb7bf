"""Strings that a supplier could send to hurt a reader: markup, scripts, hidden characters, formulas, paths."""

from __future__ import annotations

from typing import Any

TEXTS = (
    "<script>document.title='x'</script>",
    "</style><script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "\"><iframe src='https://evil.example/'></iframe>",
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)" x="',
    "javascript:alert(1)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "{{ 7 * 7 }}{% for x in y %}",
    "${7*7}<%= 7*7 %>#{7*7}",
    "<!-- --><![CDATA[<b>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#60;b&#62;",
    "<a href=https://evil.example>press</a>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<form action=https://evil.example><input name=q>",
    "left\u202egnidael ot tfeL",
    "zero\u200bwidth\u2060joiner\ufeff",
    "\u2066isolate\u2069 \u061c",
    "line\u2028separator\u2029 end",
    "back\\slash `tick` *star* _under_ [link](https://evil.example) | pipe",
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '  =HYPERLINK("https://evil.example","press")',
    "\n=1+1",
    "＝1+1",
    "😀 Zürich ﷽",
    "x" * 480,
)


def spoil(value: Any, text: str, *, path: tuple[str, ...] = ()) -> Any:
    """Return evidence with ``text`` in the place of every free text: names, roles, words, reasons, keys of mappings."""
    if isinstance(value, dict):
        open_mapping = path and path[-1] in {
            "by_reason",
            "by_first_cause",
            "extracts",
            "classes",
            "columns",
            "constraints",
        }
        return {
            (f"{text} {key}"[:500] if open_mapping else key): spoil(inner, text, path=(*path, str(key)))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [spoil(inner, text, path=path) for inner in value]
    return text if isinstance(value, str) and path and path[-1] in SPOILT else value


# Every entry of the evidence whose schema says no more than "a text".
SPOILT = {
    *(
        "participant",
        "participants",
        "role",
        "extract",
        "file",
        "form",
        "rule",
        "rules",
        "reason",
        "description",
        "fault",
    ),
    *("basis", "item", "left", "right", "extract_left", "extract_right", "test_case", "phase", "stage", "name", "plan"),
    *("text", "table", "pack", "column", "treatment", "classification", "asks", "sections", "size", "trust_model"),
    *("quasi_identifiers", "purpose", "controller", "lawful_basis", "retention", "recipients", "residual_risk"),
    *("measures", "id", "grade", "outcome", "attribute", "absent"),
}
