"""A twin brought into step with a few measured rows of powers."""
