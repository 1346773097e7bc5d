"""Antenna patterns, arrays and their names."""
