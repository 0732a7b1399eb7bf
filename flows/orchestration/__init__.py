"""ORCHESTRATION: the same stages as Prefect flows, their deployments, and the inbox."""
