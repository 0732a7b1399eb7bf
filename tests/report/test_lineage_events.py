"""OpenLineage events: what the reference client would have written, nothing else, and nothing sent."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from flows.cli.main import build
from flows.keys.signing_key import load_signer, new_signing_key
from flows.pack.writer import PackWriter
from flows.report.openlineage import event_lines, events
from tests.evidence.specimen import model, sha, specimen

EVIDENCE = specimen(8, 4)
EVENTS = events(model(EVIDENCE), sha("tags"))


def test_one_start_and_one_end_of_each_run() -> None:
    runs = {}
    for event in EVENTS:
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert len(runs) == 1 + len(EVIDENCE["accounting"])
    assert {tuple(kinds) for kinds in runs.values()} == {("START", "COMPLETE")}


def test_reading_a_pack_twice_names_the_same_runs_and_another_pack_others() -> None:
    assert events(model(EVIDENCE), sha("tags")) == EVENTS
    ids = {event["run"]["runId"] for event in EVENTS}
    assert ids.isdisjoint(event["run"]["runId"] for event in events(model(EVIDENCE), sha("other")))


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


SCHEMAS = {  # of the published specification, https://openlineage.io/spec
    "parent": "1-2-0/ParentRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
    "dataQualityMetrics": "1-0-3/DataQualityMetricsInputDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
}


def test_every_facet_says_what_specification_it_follows_and_who_made_it() -> None:
    seen = set()
    for event in EVENTS:
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        datasets = event["inputs"] + event["outputs"]
        places = [event["run"]["facets"], event["job"]["facets"], *(d["facets"] for d in datasets)]
        places += [d.get("inputFacets", d.get("outputFacets")) for d in datasets]
        for name, facet in (pair for place in places for pair in place.items()):
            seen.add(name)
            version, kind = SCHEMAS[name].split("/")
            assert facet["_schemaURL"] == f"https://openlineage.io/spec/facets/{version}/{kind}.json#/$defs/{kind}"
            assert facet["_producer"] == event["producer"] == "https://datacut.example/producer"
    assert seen == set(SCHEMAS)


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
        writer.seal({}, model(EVIDENCE), [load_signer(tmp_path / "k.pem")])
    arguments = ["lineage", str(tmp_path / "p"), "--out", str(tmp_path / "events.ndjson")]
    assert CliRunner().invoke(build(), arguments).exit_code == 0
    assert len((tmp_path / "events.ndjson").read_text().splitlines()) == len(EVENTS)
    again = CliRunner().invoke(build(), arguments)
    assert again.exception is not None
    assert again.exception.exit_code == 19
