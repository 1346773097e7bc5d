"""The page of a study of fidelity."""
