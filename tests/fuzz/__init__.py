"""Damaged and hostile files for every reader, made of small sound ones: `make fuzz`, and a few of them in the suite."""
