"""RELEASE: what may leave: attestation, disclosure risk, leak candidates, the forms that files are written in."""
