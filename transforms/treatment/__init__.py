"""TREATMENT: released values less precise than real ones, by the key: dates in their order, amounts in their band."""
