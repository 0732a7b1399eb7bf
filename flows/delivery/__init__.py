"""DELIVERY: what a participant is asked for, who has sent it, and how raw backups travel sealed and are receipted."""
