"""CHECK: a way to begin: what a cut could be, and what a run would say of it, before anything is published."""
