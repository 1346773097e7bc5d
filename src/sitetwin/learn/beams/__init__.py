"""Prediction of beams from positions: a structured twin, networks, baselines, and honest numbers about them."""
