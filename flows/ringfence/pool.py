"""The population of a cut's last run, kept for top-ups after the work folder is gone."""

from __future__ import annotations

from pathlib import Path

from flows.cut.config import Job
from flows.cut.workspace import disk, second_name


def pool_file(job: Job) -> Path:
    """Return where the population of a cut's last run is kept: pseudonyms only, readable by its owner alone."""
    return job.path(job.model.work) / f"{job.model.cut.id}.pool.parquet"


def keep_pool(population: Path, job: Job) -> None:
    """Keep the population of a run for top-ups after the work folder is gone.

    Raises:
        PlaceError: the disk is unfit.
    """
    kept = pool_file(job)
    aside = kept.with_suffix(".new")
    with disk(kept):
        aside.unlink(missing_ok=True)
        second_name(population, aside)
        aside.chmod(0o600)
        aside.replace(kept)
        aside.unlink(missing_ok=True)  # two names of one file stay two names: a killed run had kept this population
