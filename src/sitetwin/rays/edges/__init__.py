"""Paths with one diffraction."""
