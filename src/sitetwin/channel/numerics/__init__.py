"""Kernels and products that the channels are made with."""
