"""CUT: what every stage shares: the configuration, the work folder, its partitions, progress, and the self-test."""
