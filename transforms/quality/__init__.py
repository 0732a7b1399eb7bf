"""QUALITY: what a rule says of each row, and which rows are excluded for it."""
