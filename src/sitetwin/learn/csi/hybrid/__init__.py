"""A codec of zones, free paths and coefficients, whose reports are entropy-coded bits of equal length."""
