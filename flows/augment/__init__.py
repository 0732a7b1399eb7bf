"""AUGMENTATION: the MHHS-only items of every metering point, partition by partition, and what associates them."""
