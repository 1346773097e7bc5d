"""Readers of measured data."""
