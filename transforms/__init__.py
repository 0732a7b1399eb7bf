"""PURE: frames in, frames out, by what a contract says. No files, clock, randomness, logging or orchestration."""
