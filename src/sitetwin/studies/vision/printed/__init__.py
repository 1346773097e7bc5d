"""The published chain, as printed, on the rendered moments of the closed loop."""
