"""The auditor's report: one HTML page and its tables, from evidence alone. No data, clock or network."""
