"""Vegetation, canopies and diffuse scattering."""
