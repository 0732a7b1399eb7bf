"""MESSAGES: DIP payloads for CIT from a release pack, each validated, and the manifest that ties them to test cases."""
