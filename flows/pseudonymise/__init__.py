"""PSEUDONYMISE: one source read, conformed and pseudonymised, partition by partition. The last place with raw values."""
