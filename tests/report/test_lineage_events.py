"""OpenLineage events: what the reference client would have written, nothing else, and nothing sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import build
from flows.keys.signing_key import load_signer, new_signing_key
from flows.pack.writer import PackWriter
from flows.report.openlineage import event_lines, events
from tests.evidence.specimen import sha, specimen

EVIDENCE = specimen(8, 4)
EVENTS = events(EVIDENCE, sha("tags"))


def test_one_start_and_one_end_of_each_run() -> None:
    runs = {}
    for event in EVENTS:
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert len(runs) == 1 + len(EVIDENCE["accounting"])
    assert {tuple(kinds) for kinds in runs.values()} == {("START", "COMPLETE")}


def test_reading_a_pack_twice_names_the_same_runs_and_another_pack_others() -> None:
    assert events(EVIDENCE, sha("tags")) == EVENTS
    ids = {event["run"]["runId"] for event in EVENTS}
    assert ids.isdisjoint(event["run"]["runId"] for event in events(EVIDENCE, sha("other")))


def test_counts_columns_and_parents() -> None:
    parent = EVENTS[0]["run"]["runId"]
    ends = {e["job"]["name"]: e for e in EVENTS if e["eventType"] == "COMPLETE" and e["outputs"]}
    for row in EVIDENCE["accounting"]:
        event = ends[f"release.{EVIDENCE['cut']['id']}.{row['participant']}.{row['extract']}"]
        assert event["run"]["facets"]["parent"]["run"]["runId"] == parent
        (output,) = event["outputs"]
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == row["released"]
        (read,) = event["inputs"]
        assert read["inputFacets"]["dataQualityMetrics"]["rowCount"] == row["rows_in"]
    fields = ends["release.SIT-2023-08-19.EELC.registration"]["outputs"][0]["facets"]["columnLineage"]["fields"]
    (source,) = fields["mpan_core"]["inputFields"]
    assert source["field"] in ("MPAN_CORE", "mpan")
    assert source["transformations"][0] == {
        "type": "DIRECT",
        "subtype": "TRANSFORMATION",
        "description": "pseudonymise (mpan)",
        "masking": True,
    }


def test_the_reference_client_builds_the_same_events() -> None:
    """The classes are generated from the published specification, with its validators."""
    generated = pytest.importorskip("openlineage.client.generated.base", reason="openlineage-python is not installed")
    from openlineage.client.generated import (
        column_lineage_dataset,
        data_quality_assertions_dataset,
        data_quality_metrics_input_dataset,
        job_type_job,
        output_statistics_output_dataset,
        parent_run,
        schema_dataset,
    )
    from openlineage.client.serde import Serde

    def of(kind, facet, **content):
        assert facet["_schemaURL"] == kind._get_schema(), kind
        return kind(producer=facet["_producer"], **content)

    def plain(facet):
        return {key: value for key, value in facet.items() if not key.startswith("_")}

    def facet(name, found):
        content = plain(found)
        match name:
            case "parent":
                run, job = parent_run.Run(**content["run"]), parent_run.Job(**content["job"])
                return of(parent_run.ParentRunFacet, found, run=run, job=job)
            case "jobType":
                return of(job_type_job.JobTypeJobFacet, found, **content)
            case "schema":
                fields = [schema_dataset.SchemaDatasetFacetFields(**f) for f in content["fields"]]
                return of(schema_dataset.SchemaDatasetFacet, found, fields=fields)
            case "columnLineage":
                fields = {
                    column: column_lineage_dataset.Fields(
                        inputFields=[
                            column_lineage_dataset.InputField(
                                **{k: v for k, v in origin.items() if k != "transformations"},
                                transformations=[
                                    column_lineage_dataset.Transformation(**t) for t in origin["transformations"]
                                ],
                            )
                            for origin in entry["inputFields"]
                        ]
                    )
                    for column, entry in content["fields"].items()
                }
                return of(column_lineage_dataset.ColumnLineageDatasetFacet, found, fields=fields)
            case "dataQualityAssertions":
                assertions = [data_quality_assertions_dataset.Assertion(**a) for a in content["assertions"]]
                kind = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
                return of(kind, found, assertions=assertions)
            case "dataQualityMetrics":
                kind = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet
                return of(kind, found, **content)
            case "outputStatistics":
                kind = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
                return of(kind, found, **content)
        raise AssertionError(name)

    def facets(found):
        return {name: facet(name, entry) for name, entry in found.items()}

    for event in EVENTS:
        built = generated.RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            eventType=generated.EventType(event["eventType"]),
            run=generated.Run(runId=event["run"]["runId"], facets=facets(event["run"]["facets"])),
            job=generated.Job(
                namespace=event["job"]["namespace"],
                name=event["job"]["name"],
                facets=facets(event["job"]["facets"]),
            ),
            inputs=[
                generated.InputDataset(
                    namespace=d["namespace"],
                    name=d["name"],
                    facets=facets(d["facets"]),
                    inputFacets=facets(d["inputFacets"]),
                )
                for d in event["inputs"]
            ],
            outputs=[
                generated.OutputDataset(
                    namespace=d["namespace"],
                    name=d["name"],
                    facets=facets(d["facets"]),
                    outputFacets=facets(d["outputFacets"]),
                )
                for d in event["outputs"]
            ],
        )
        assert pruned(json.loads(Serde.to_json(built))) == pruned(event)


def pruned(value):
    """Return JSON without empty parts: the client leaves them out."""
    if isinstance(value, dict):
        return {k: p for k, v in value.items() if (p := pruned(v)) not in ({}, [], None)}
    return [pruned(v) for v in value] if isinstance(value, list) else value


def test_events_hold_no_times_but_the_runs_and_no_values() -> None:
    text = event_lines(EVENTS).decode()
    assert text.count("\n") == len(EVENTS)
    assert {json.loads(line)["eventTime"] for line in text.splitlines()} == {
        EVIDENCE["times"][name] for name in ("started", "finished")
    }


def test_the_command_writes_a_file_once(tmp_path: Path) -> None:
    new_signing_key(tmp_path / "k.pem", tmp_path / "k.pub")
    with PackWriter(tmp_path / "p") as writer:
        writer.path("report/index.html").write_bytes(b"x")
        writer.seal({}, EVIDENCE, [load_signer(tmp_path / "k.pem")])
    arguments = ["lineage", str(tmp_path / "p"), "--out", str(tmp_path / "events.ndjson")]
    assert CliRunner().invoke(build(), arguments).exit_code == 0
    assert len((tmp_path / "events.ndjson").read_text().splitlines()) == len(EVENTS)
    again = CliRunner().invoke(build(), arguments)
    assert again.exception is not None
    assert again.exception.exit_code == 19
