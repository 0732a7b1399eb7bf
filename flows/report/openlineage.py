"""A pack's evidence as OpenLineage events, so that a data catalogue can ingest what a run read and wrote.

Built with the classes of OpenLineage's own client, which check what the specification asks for, and written to a file:
its transports are never made, so nothing is sent. Events hold names and counts alone. Importing this module loads the
client (a second), so import it where events are written.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from openlineage.client.generated.base import EventType, InputDataset, Job, OutputDataset, Run, RunEvent
from openlineage.client.generated.column_lineage_dataset import (
    ColumnLineageDatasetFacet,
    Fields,
    InputField,
    Transformation,
)
from openlineage.client.generated.data_quality_assertions_dataset import Assertion, DataQualityAssertionsDatasetFacet
from openlineage.client.generated.data_quality_metrics_input_dataset import DataQualityMetricsInputDatasetFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet
from openlineage.client.generated.parent_run import Job as ParentJob
from openlineage.client.generated.parent_run import ParentRunFacet
from openlineage.client.generated.parent_run import Run as ParentRun
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields
from openlineage.client.serde import Serde

from contracts.evidence import Accounting, Evidence, Lineage
from contracts.evidence_inputs import InputEvidence
from contracts.json_types import JsonObject
from transforms.release.attestation import canonical_bytes

PRODUCER = "https://datacut.example/producer"
_NAMESPACE = uuid.UUID("6f1de5f8-0f0b-5c52-9a52-2f6d3f0c7a11")  # of this product's run ids, made once
JOBS = "datacut"


def events(evidence: Evidence, tagmanifest_sha256: str) -> list[JsonObject]:
    """Return a START and a COMPLETE event for the cut and for each of its extracts.

    Args:
        tagmanifest_sha256: digest of the pack's tag manifest: run ids follow from it, so that reading a pack twice
            names the same run.
    """
    times, name = evidence.times, f"{evidence.kind}.{evidence.cut.id}"
    parent = ParentRunFacet(
        run=ParentRun(runId=_run_id(tagmanifest_sha256, "")),
        job=ParentJob(namespace=JOBS, name=name),
        producer=PRODUCER,
    )
    inputs: dict[tuple[str, str], list[InputEvidence]] = defaultdict(list)
    for source in evidence.inputs:
        inputs[source.participant, source.extract].append(source)
    runs: list[tuple[Run, str, list[InputDataset], list[OutputDataset]]] = [(Run(parent.run.runId), name, [], [])]
    for row in evidence.accounting:
        who, extract = row.participant, row.extract
        run = Run(_run_id(tagmanifest_sha256, f"{who}/{extract}"), facets={"parent": parent})
        read = [_input(source) for source in inputs[who, extract]]
        runs.append((run, f"{name}.{who}.{extract}", read, [_output(evidence, row)]))
    return [
        _event(kind, time, run, job, read, written)
        for kind, time in ((EventType.START, times.started), (EventType.COMPLETE, times.finished))
        for run, job, read, written in runs
    ]


def event_lines(found: Iterable[JsonObject]) -> bytes:
    """Return events as newline-delimited JSON, the form that OpenLineage's file transport writes."""
    return b"".join(canonical_bytes(event) for event in found)


def _event(
    kind: EventType, time: str, run: Run, job: str, read: list[InputDataset], written: list[OutputDataset]
) -> JsonObject:
    job_type = JobTypeJobFacet(processingType="BATCH", integration="DATACUT", jobType="JOB", producer=PRODUCER)
    event = RunEvent(
        eventType=kind,
        eventTime=time,
        producer=PRODUCER,
        run=run,
        job=Job(JOBS, job, facets={"jobType": job_type}),
        inputs=read,
        outputs=written if kind is EventType.COMPLETE else [],
    )
    made: JsonObject = Serde.to_dict(event)
    return made


def _run_id(tagmanifest_sha256: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{tagmanifest_sha256}/{name}"))


def _file(source: InputEvidence) -> dict[str, str]:
    """Return the name of a source as a dataset."""
    return {
        "namespace": f"datacut:{source.participant}",
        "name": f"backup/{source.extract}/{source.file}",
    }


def _input(source: InputEvidence) -> InputDataset:
    metrics = DataQualityMetricsInputDatasetFacet(
        rowCount=source.rows, bytes=source.bytes, columnMetrics={}, producer=PRODUCER
    )
    return InputDataset(
        **_file(source),
        facets={"schema": _schema(source.columns.values())} if source.columns else {},
        inputFacets={"dataQualityMetrics": metrics},
    )


def _output(evidence: Evidence, row: Accounting) -> OutputDataset:
    who, extract = row.participant, row.extract
    columns = [c for c in evidence.lineage or () if c.extract == extract and c.released]
    facets: dict[str, Any] = {"schema": _schema(c.column for c in columns)} if columns else {}  # of several classes
    if fields := _fields(evidence, row, columns):
        facets["columnLineage"] = ColumnLineageDatasetFacet(fields=fields, producer=PRODUCER)
    facets["dataQualityAssertions"] = DataQualityAssertionsDatasetFacet(
        assertions=[
            Assertion(assertion=rule.rule, success=rule.failed == 0 and not rule.crashed)
            for rule in evidence.rules
            if (rule.participant, rule.extract) == (who, extract)
        ],
        producer=PRODUCER,
    )
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=row.released, producer=PRODUCER)
    return OutputDataset(
        namespace=f"datacut:{evidence.cut.id}",
        name=f"data/{who}/{extract}",
        facets=facets,
        outputFacets={"outputStatistics": statistics},
    )


def _schema(names: Iterable[str]) -> SchemaDatasetFacet:
    fields = [SchemaDatasetFacetFields(name=name, type="string") for name in names]
    return SchemaDatasetFacet(fields=fields, producer=PRODUCER)


def _fields(evidence: Evidence, row: Accounting, columns: list[Lineage]) -> dict[str, Fields]:
    """Return column lineage: for each released column, what it was called in this participant's own sources."""
    fields = {}
    for column in columns:
        origins = [
            InputField(**_file(source), field=source.columns[column.column], transformations=[_transformation(column)])
            for source in evidence.inputs
            if (source.participant, source.extract) == (row.participant, row.extract)
            and column.column in source.columns
        ]
        if origins:
            fields[column.column] = Fields(inputFields=origins)
    return fields


def _transformation(column: Lineage) -> Transformation:
    kept = column.treatment == "keep"
    return Transformation(
        type="DIRECT",
        subtype="IDENTITY" if kept else "TRANSFORMATION",
        description=column.treatment,
        masking=not kept,
    )
