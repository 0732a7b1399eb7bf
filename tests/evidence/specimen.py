"""A made-up evidence of a realistic cut, any size, for tests of packs and reports. Nothing in it is real."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from contracts.errors import EvidenceError
from contracts.evidence import EVIDENCE_SCHEMA, Evidence, RuleCountEvidence
from contracts.evidence_inputs import InputEvidence
from flows.pack.schema import parse_evidence
from transforms.release.attestation import ORDER

EXTRACTS = {
    "LDSO": ("registration",),
    "Supplier": ("portfolio",),
    "Meter operator": ("metering", "register"),
    "Data collector": ("annual_consumption", "half_hourly"),
    "Elexon": ("bmu_mapping",),
}
FIRST = [
    ("EELC", "LDSO"),
    ("IPNL", "LDSO"),
    ("SUPA", "Supplier"),
    ("SUPB", "Supplier"),
    ("SUPC", "Supplier"),
    ("MOPX", "Meter operator"),
    ("DCOL", "Data collector"),
    ("ELEX", "Elexon"),
]
RULES = [
    (
        "DQ01_mpan_check_digit",
        "DQ01",
        "exclude",
        "The MPAN core has 13 digits and its check digit holds.",
        "2.2",
    ),
    ("DQ02_distributor_active", "DQ02", "exclude", "The distributor is active in market domain data.", "2.4"),
    ("DQ03_one_row_per_mpan", "DQ03", "exclude", "A metering point has one row on the cut date.", "5.3"),
    ("DQ05_profile_class", "DQ05", "exclude", "The profile class is one of 00 to 08.", "3.3"),
    (
        "DQ06_profile_and_ssc",
        "DQ06",
        "exclude",
        "A half-hourly metering point has no SSC, any other has.",
        "R1",
    ),
    ("DQ07_mtc_llfc_ssc_pc", "DQ07", "exclude", "MTC, LLFC, SSC and profile class are valid together.", "R6"),
    ("DQ09_gsp_of_distributor", "DQ09", "warn", "The GSP group is the distributor's.", "R8"),
    (
        "DQ13_meter_serial",
        "DQ13",
        "exclude",
        "The meter serial is present and at most ten characters.",
        "3.1",
    ),
    (
        "DQ17_domestic_indicator",
        "DQ17",
        "warn",
        "The domestic premises indicator fits the profile class.",
        "Q5",
    ),
    ("DQ20_disconnected", "DQ20", "exclude", "The metering point is not disconnected.", "5.1"),
    (
        "DQ23_unexpected_columns",
        "DQ23",
        "reject",
        "The source has no column that the contract forbids.",
        "Q68",
    ),
]
ITEMS = ["supplier_mpid", "supplier_effective_from", "data_collector_mpid", "meter_operator_mpid"]
AUGMENTED = [
    "market_segment",
    "connection_type_indicator",
    "linked_import_export_mpan",
    "energy_direction",
    "duos_tariff_id",
    "domestic_premises_indicator",
]
PHASES = [("CIT", "Component integration"), ("SIT-F", "SIT functional"), ("SIT-M", "SIT migration")]


def sha(*words: object) -> str:
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


def parties(count: int) -> list[tuple[str, str]]:
    roles = ["Supplier", "LDSO", "Meter operator", "Data collector"]
    more = [(f"P{n:03d}", roles[n % 4]) for n in range(max(0, count - len(FIRST)))]
    return (FIRST + more)[:count]


def specimen(
    participants: int = 8, test_cases: int = 24, seed: int = 1, *, kind: str = "release", **changes: Any
) -> dict[str, Any]:
    """Return evidence that keeps its schema and balances; ``changes`` replace whole sections."""
    rng = random.Random(seed)
    who = parties(participants)
    accounting = [_account(rng, mpid, extract) for mpid, role in who for extract in EXTRACTS[role]]
    sections: dict[str, Any] = {
        "cut": {"id": "SIT-2023-08-19", "date": "2023-08-19", "trust_model": "SI-central"},
        "tool": {"name": "datacut", "version": "0.1.0"},
        "scheme": "1",
        "key_fingerprint": "a8fb08ac6df24bc837770c229e499c1e",
        "inputs": [_input(rng, row, dict(who)[row["participant"]]) for row in accounting],
        "accounting": accounting,
        "rules": [rule for row in accounting for rule in _rules(rng, row)],
        "times": {
            "started": "2023-08-21T09:12:04Z",
            "finished": "2023-08-21T09:31:47Z",
            "stages": [
                {"stage": stage, "seconds": round(rng.uniform(1, 240), 1)}
                for stage in (
                    "intake",
                    "conform",
                    "pseudonymise",
                    "quality",
                    "align",
                    "augment",
                    "ring-fence",
                )
            ],
        },
        "exclusions": _exclusions(accounting),
        "self_test": {"vectors": 403, "golden_rows": 64, "passed": True},
    }
    if kind == "release":
        sections |= _release_sections(rng, who, accounting, test_cases)
        sections["baseline"] = _baseline(rng, sections["rules"], accounting)
        sections |= _from_contracts(sections)
        sections["registers"] = _registers(who)
        sections["left_out"] = [
            {"participant": "LATE", "role": "SUP", "extracts": ["portfolio"], "reason": "did not deliver by the day"}
        ]
        sections["tool"] |= {"source_sha256": "0" * 64, "libraries": {"polars": "2.1.0"}, "python": "3.11.7"}
    document = {"schema": EVIDENCE_SCHEMA, "kind": kind, **sections, **to_jsonable_python(changes)}
    return {
        name: sorted(part, key=itemgetter(*ORDER[name])) if name in ORDER else part
        for name, part in document.items()
        if part is not None
    }


def model(document: Any) -> Evidence:
    """Return evidence as its model, read as strictly as a verifier reads it.

    Raises:
        EvidenceError: it breaks its schema.
    """
    evidence, faults = parse_evidence(document)
    if evidence is None:
        raise EvidenceError("; ".join(faults), where="evidence")
    return evidence


def _registers(who: list[tuple[str, str]]) -> dict[str, Any]:
    """Return who answers for what, as people would state it."""
    agreement = {"status": "signed", "date": "2023-07-01", "reference": "DSA-7"}
    return {
        "operator": "SI data team",
        "retention": "until the end of SIT",
        "standard": {"name": "Data standard", "version": "2.3", "approved_by": "Group", "approved_on": "2023-05-01"},
        "custody": [
            {"what": "ceremony", "who": "two custodians", "on": "2023-06-01", "custody": "two of three shares"}
        ],
        "required": ["agreement", "standard"],
        "participants": [
            {"participant": mpid, "controller": f"{mpid} Ltd", "agreement": agreement, "segments": {"SMART": mpid}}
            for mpid, _ in who
        ],
    }


def dumped(rows: Iterable[BaseModel]) -> list[dict[str, Any]]:
    """Return a section's entries as the evidence has them."""
    return [row.model_dump(mode="json") for row in rows]


def _from_contracts(sections: dict[str, Any]) -> dict[str, Any]:
    """Return what follows from the real contracts; imported late, since many tests of packs need none of it."""
    from contracts.augmentation import items
    from contracts.load import load_all
    from flows.release.evidence import dpia_section, lineage_section, requirements_section

    used = [load_all()[e] for e in sorted({row["extract"] for row in sections["accounting"]} & set(load_all()))]
    treatments = {
        contract.extract: {
            c.name: {"treatment": c.treatment.describe(), "classification": c.classification.value}
            for c in contract.columns
        }
        for contract in used
    }
    policy = {"half_hourly": "synthetic", "postcode": "outward", "approval": "two signatures", "extracts": treatments}
    return {
        "policy": policy,
        "lineage": dumped(lineage_section(used, map(InputEvidence.model_validate, sections["inputs"]), items())),
        "requirements": dumped(requirements_section(map(RuleCountEvidence.model_validate, sections["rules"]), items())),
        "dpia": dpia_section(used).model_dump(mode="json"),
    }


def _account(rng: random.Random, mpid: str, extract: str) -> dict[str, Any]:
    rows = rng.randint(40_000, 900_000)
    reasons = {
        reason: rng.randint(1, rows // 120)
        for reason in rng.sample(["DQ01", "DQ03", "DQ05", "DQ06", "DQ07", "DQ13", "DQ20"], rng.randint(2, 6))
    }
    excluded = sum(reasons.values())
    return {
        "participant": mpid,
        "extract": extract,
        "rows_in": rows,
        "released": rows - excluded,
        "excluded": excluded,
        "by_reason": reasons,
    }


def _input(rng: random.Random, row: dict[str, Any], role: str) -> dict[str, Any]:
    form = rng.choice(["csv.gz", "csv", "parquet", "postgresql", "dtc"])
    return {
        "participant": row["participant"],
        "role": role,
        "extract": row["extract"],
        "file": f"{row['participant'].lower()}_{row['extract']}_20230819.{form}",
        "form": form,
        "bytes": row["rows_in"] * rng.randint(80, 300),
        "rows": row["rows_in"],
        "hmac_sha256": sha(row["participant"], row["extract"]),
        "cut_date": "2023-08-19",
        "dropped_columns": rng.choice([0, 0, 0, 2, 7]),
        "columns": {"mpan_core": rng.choice(["MPAN_CORE", "mpan"]), "postcode": "POSTCODE"},
        **{name: [] for name in ("files", "passed_over", "dropped", "missing", "not_agreed", "remarks")},
        **{name: {} for name in ("aliases", "null_words", "rounded", "unread_dates")},
    }


def _rules(rng: random.Random, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "participant": row["participant"],
            "extract": row["extract"],
            "rule": rule,
            "reason": reason,
            "effect": effect,
            "description": description,
            "fault": f"breaks {rule}",
            "basis": [reason, basis],
            "evaluated": row["rows_in"],
            "failed": row["by_reason"].get(reason, rng.choice([0, 0, 11, 240]) if effect == "warn" else 0),
            "crashed": False,
        }
        for rule, reason, effect, description, basis in RULES
    ]


def _exclusions(accounting: list[dict[str, Any]]) -> dict[str, Any]:
    causes: dict[str, int] = {}
    for row in accounting:
        for reason, count in row["by_reason"].items():
            causes[reason] = causes.get(reason, 0) + count // 2 + 1
    return {"mpans": sum(causes.values()), "by_first_cause": causes}


def _baseline(rng: random.Random, rules: list[dict[str, Any]], accounting: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an earlier cut: most rules as now, some better, some worse, one gone, one not yet there."""
    sums: dict[tuple[str, str], list[int]] = {}
    for rule in rules:
        entry = sums.setdefault((rule["extract"], rule["rule"]), [0, 0])
        entry[0] += rule["evaluated"]
        entry[1] += rule["failed"]
    rows: dict[str, list[int]] = {}
    for row in accounting:
        entry = rows.setdefault(row["extract"], [0, 0])
        entry[0] += row["rows_in"]
        entry[1] += row["excluded"]
    return {
        "pack": "SIT-2023-05-20-release",
        "cut": "SIT-2023-05-20",
        "date": "2023-05-20",
        "tagmanifest_sha256": sha("baseline"),
        "rules": [
            {"extract": e, "rule": r, "evaluated": n, "failed": int(f * rng.choice([0.4, 1, 1, 1.9]))}
            for (e, r), (n, f) in sorted(sums.items())
            if r != "DQ13_meter_serial"
        ]
        + [{"extract": "portfolio", "rule": "DQ99_retired", "evaluated": 10, "failed": 1}],
        "rows": [
            {"extract": e, "rows_in": n - 1000, "released": n - 1000 - x, "excluded": x}
            for e, (n, x) in sorted(rows.items())
        ],
    }


def _alignment(rng: random.Random, who: list[tuple[str, str]]) -> list[dict[str, Any]]:
    rows = []
    for left in (mpid for mpid, role in who if role == "LDSO"):
        for right, role in who:
            if role in ("LDSO", "Elexon"):
                continue
            for item in ITEMS:
                compared = rng.randint(10_000, 300_000)
                rows.append(
                    {
                        "left": left,
                        "right": right,
                        "extract_left": "registration",
                        "extract_right": EXTRACTS[role][0],
                        "item": item,
                        "compared": compared,
                        "disagree": rng.choice([0, 0, 3, compared // 900, compared // 60]),
                        "missing_left": rng.randint(0, 90),
                        "missing_right": rng.randint(0, 400),
                    }
                )
    return rows


def _test_case(rng: random.Random, number: int, who: list[tuple[str, str]]) -> dict[str, Any]:
    wanted, phase = rng.choice([4, 6, 10, 25, 120]), PHASES[number % 3][0]
    short = rng.choice([0] * 9 + [wanted // 3, wanted])
    spares = max(1, wanted // 10)
    return {
        "test_case": f"{phase}-{number:04d}",
        "phase": phase,
        "stage": "SIT" if phase.startswith("SIT") else "CIT",
        "participant": rng.choice([mpid for mpid, role in who if role == "Supplier"]),
        "wanted": wanted,
        "spares_wanted": spares,
        "allocated": wanted - short,
        "spares": 0 if short else spares,
        "short": short,
        "minimum": None,
        "eligible": wanted,
    }


def _release_sections(
    rng: random.Random, who: list[tuple[str, str]], accounting: list[dict[str, Any]], test_cases: int
) -> dict[str, Any]:
    cases = [_test_case(rng, number, who) for number in range(1, test_cases + 1)]
    shortages = [
        {
            "text": f"{case['test_case']} wants {case['wanted']} units, {case['allocated']} satisfy it: "
            f"short by {case['short']}. Without the criterion 'GSP group _C' 407 more free units would do."
        }
        for case in cases
        if case["short"]
    ]
    extracts = sorted({row["extract"] for row in accounting})
    return {
        "contracts": [{"extract": e, "version": "1.0.0", "sha256": sha("contract", e)} for e in extracts],
        "reference": [
            {"table": t, "rows": rng.randint(14, 9000), "sha256": sha(t)}
            for t in ("gsp_group", "market_participant", "valid_mtc_llfc_ssc_pc")
        ],
        "alignment": _alignment(rng, who),
        "augmentation": [
            {
                "item": item,
                "stated": rng.randint(0, 400_000),
                "derived": rng.randint(0, 800_000),
                "manufactured": rng.randint(0, 90_000),
                "undecided": rng.choice([0, 0, 312]),
                "absent": rng.choice([0, 40_211]),
            }
            for item in AUGMENTED
        ],
        "associations": {
            "evidence": [
                {
                    "rule": "AS2",
                    "description": "one meter at one address",
                    "grade": "certain",
                    "outcome": "linked",
                    "exports": 90,
                },
            ],
            "constraints": {"REG1050": 0, "REG1051": 3},
            "incoherent": {"DQ31-M": 0},
        },
        "smart": [
            {"supplier": supplier, "gsp_group": group, "metered": 1000 + 7 * n, "smart": 400 + 11 * n}
            for n, (supplier, group) in enumerate((s, g) for s in ("SUPA", "SUPB") for g in ("_A", "_M"))
        ],
        "column_values": [
            {
                "extract": "registration",
                "column": "profile_class",
                "rows": 5000,
                "filled": 4990,
                "values": [{"value": f"{n:02d}", "rows": 900 - 90 * n} for n in range(9)],
                "rest": 4,
            }
        ],
        "coincident": {"count": 511, "expected_low": 425.2, "expected_high": 606.9},
        "leak_scan": {
            "files": 61,
            "bytes": 4_812_330_001,
            "identifiers": 9_204_117,
            "confirmed": 0,
            "classes": {"mpan": 0, "meter-serial": 0, "esme-id": 0, "uprn": 0, "address": 0},
        },
        "risk": {
            "quasi_identifiers": ["outward postcode", "profile class", "meter type", "measurement class"],
            "metering_points": 3_408_977,
            "classes": 41_877,
            "class_sizes": [
                {"size": "alone", "metering_points": 7},
                {"size": "2 to 10", "metering_points": 4_120},
                {"size": "11 to 100", "metering_points": 96_402},
                {"size": "more than 100", "metering_points": 3_308_448},
            ],
            "journalist_max": 0.0625,
            "marketer": 0.0123,
            "thresholds": {"journalist_max": 0.0909, "marketer": 0.01},
        },
        "ring_fence": {
            "plan": "plan-sit-2023.yaml",
            "phases": [{"phase": phase, "name": name} for phase, name in PHASES],
            "test_cases": cases,
            "shortages": shortages,
            "ledger_head": sha("ledger"),
            "coverage": [
                {
                    "scope": "stage",
                    "name": phase,
                    "round": 1,
                    "attribute": attribute,
                    "metering_points": 40 + 60 * number,
                    "distance": round(rng.uniform(0, 0.5) / (number + 1), 6),
                    "pairwise": None if attribute else round(0.5 + number / 8, 5),
                    "absent": ["D"] if attribute == "energisation_status" and not number else [],
                }
                for number, (phase, _) in enumerate(PHASES)
                for attribute in ("", "energisation_status", "gsp_group_id", "meter_type", "profile_class")
            ],
        },
        "previous": [{"pack": f"submission-{mpid}", "tagmanifest_sha256": sha(mpid)} for mpid, _ in who],
    }
