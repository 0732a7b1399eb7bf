"""LEAK SCAN: every file that is published, searched for raw identifiers."""
