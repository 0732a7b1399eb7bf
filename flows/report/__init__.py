"""The auditor's report: one HTML page and its tables, from evidence and nothing else. No data, no clock, no network."""
