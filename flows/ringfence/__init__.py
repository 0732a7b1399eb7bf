"""Ring-fencing at work: plans and demand books read, allocations solved and committed, the ledger kept."""
