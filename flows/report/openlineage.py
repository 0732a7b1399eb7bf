"""A pack's evidence as OpenLineage events, so that a data catalogue can ingest what a run read and wrote.

Plain JSON of the OpenLineage 2-0-2 object model, written to a file and sent nowhere: the project's own client library
brings an HTTP stack that has no place in a tool that never opens a connection. Events hold names and counts alone.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from transforms.release.attestation import canonical_bytes

Event = dict[str, Any]
PRODUCER = "https://datacut.example/producer"
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET = "https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}"
_NAMESPACE = uuid.UUID("6f1de5f8-0f0b-5c52-9a52-2f6d3f0c7a11")  # of this product's run ids, made once
JOBS = "datacut"


def events(evidence: Mapping[str, Any], tagmanifest_sha256: str) -> list[Event]:
    """Return a START and a COMPLETE event for the cut and for each of its extracts.

    Args:
        tagmanifest_sha256: digest of the pack's tag manifest: run ids follow from it, so that reading a pack twice
            names the same run.
    """
    times, cut = evidence["times"], evidence["cut"]["id"]
    parent = {"id": _run_id(tagmanifest_sha256, ""), "name": f"{evidence['kind']}.{cut}"}
    runs: list[tuple[dict[str, str], dict[str, Any], list[Any], list[Any]]] = [(parent, {}, [], [])]
    inputs: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for source in evidence["inputs"]:
        inputs[source["participant"], source["extract"]].append(source)
    for row in evidence["accounting"]:
        who, extract = row["participant"], row["extract"]
        run = {"id": _run_id(tagmanifest_sha256, f"{who}/{extract}"), "name": f"{parent['name']}.{who}.{extract}"}
        facets = {"parent": _parent(parent)}
        runs.append((run, facets, [_input(s) for s in inputs[who, extract]], [_output(evidence, row)]))
    moments = (("START", times["started"]), ("COMPLETE", times["finished"]))
    return [
        _event(kind, time, run, facets, read, written if kind == "COMPLETE" else [])
        for kind, time in moments
        for run, facets, read, written in runs
    ]


def event_lines(found: Iterable[Event]) -> bytes:
    """Return events as newline-delimited JSON, the form that OpenLineage's file transport writes."""
    return b"".join(canonical_bytes(event) for event in found)


def _event(
    kind: str, time: str, run: Mapping[str, str], facets: Event, inputs: list[Event], outputs: list[Event]
) -> Event:
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": SPEC,
        "run": {"runId": run["id"], "facets": facets},
        "job": {
            "namespace": JOBS,
            "name": run["name"],
            "facets": {
                "jobType": _facet(
                    "JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="DATACUT", jobType="JOB"
                )
            },
        },
        "inputs": inputs,
        "outputs": outputs,
    }


def _facet(name: str, version: str, **content: Any) -> Event:
    return {"_producer": PRODUCER, "_schemaURL": _FACET.format(version=version, name=name), **content}


def _run_id(tagmanifest_sha256: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{tagmanifest_sha256}/{name}"))


def _parent(parent: Mapping[str, str]) -> Event:
    return _facet(
        "ParentRunFacet", "1-2-0", run={"runId": parent["id"]}, job={"namespace": JOBS, "name": parent["name"]}
    )


def _input(source: Mapping[str, Any]) -> Event:
    names = source.get("columns", {})
    return {
        "namespace": f"datacut:{source['participant']}",
        "name": f"backup/{source['extract']}/{source['file']}",
        "facets": {"schema": _schema(names.values())} if names else {},
        "inputFacets": {
            "dataQualityMetrics": _facet(
                "DataQualityMetricsInputDatasetFacet",
                "1-0-3",
                rowCount=source["rows"],
                bytes=source["bytes"],
                columnMetrics={},
            )
        },
    }


def _output(evidence: Mapping[str, Any], row: Mapping[str, Any]) -> Event:
    who, extract = row["participant"], row["extract"]
    columns = [c for c in evidence.get("lineage", ()) if c["extract"] == extract and c["released"]]
    facets = {"schema": _schema(c["column"] for c in columns)} if columns else {}
    if fields := _fields(evidence, row, columns):
        facets["columnLineage"] = _facet("ColumnLineageDatasetFacet", "1-2-0", fields=fields)
    facets["dataQualityAssertions"] = _facet(
        "DataQualityAssertionsDatasetFacet",
        "1-1-0",
        assertions=[
            {"assertion": rule["rule"], "success": rule["failed"] == 0 and not rule["crashed"]}
            for rule in evidence["rules"]
            if (rule["participant"], rule["extract"]) == (who, extract)
        ],
    )
    statistics = _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=row["released"])
    return {
        "namespace": f"datacut:{evidence['cut']['id']}",
        "name": f"data/{who}/{extract}",
        "facets": facets,
        "outputFacets": {"outputStatistics": statistics},
    }


def _schema(names: Iterable[str]) -> Event:
    return _facet("SchemaDatasetFacet", "1-2-0", fields=[{"name": name, "type": "string"} for name in names])


def _fields(evidence: Mapping[str, Any], row: Mapping[str, Any], columns: list[Mapping[str, Any]]) -> Event:
    """Return column lineage: for each released column, what it was called in this participant's own sources."""
    fields = {}
    for column in columns:
        origins = [
            {
                "namespace": f"datacut:{source['participant']}",
                "name": f"backup/{source['extract']}/{source['file']}",
                "field": source["columns"][column["column"]],
                "transformations": [_transformation(column)],
            }
            for source in evidence["inputs"]
            if (source["participant"], source["extract"]) == (row["participant"], row["extract"])
            and column["column"] in source.get("columns", {})
        ]
        if origins:
            fields[column["column"]] = {"inputFields": origins}
    return fields


def _transformation(column: Mapping[str, Any]) -> Event:
    kept = column["treatment"] == "keep"
    return {
        "type": "DIRECT",
        "subtype": "IDENTITY" if kept else "TRANSFORMATION",
        "description": column["treatment"],
        "masking": not kept,
    }
