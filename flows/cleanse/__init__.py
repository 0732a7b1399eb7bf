"""CLEANSE: a participant's own list of rows to put right, by real MPAN: on its premises, for nobody else."""
