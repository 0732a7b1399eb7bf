"""PSEUDONYMISE: one source read, conformed and pseudonymised, partition by partition; raw values end here."""
