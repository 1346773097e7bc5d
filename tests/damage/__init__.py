"""Stores and studies that are damaged, forged or full of traps, and what every reader makes of them."""
