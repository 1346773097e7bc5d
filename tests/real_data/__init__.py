"""Checks on real data, which the project does not contain: `make test-data`."""
