"""Coders that know no site: what every cell can use without a twin."""
