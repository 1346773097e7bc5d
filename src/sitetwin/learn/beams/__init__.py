"""Prediction of beams from positions: baselines, networks, an emulator of the tracer, and honest numbers about them."""
