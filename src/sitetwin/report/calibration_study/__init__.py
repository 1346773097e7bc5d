"""The page of a study of calibrated power."""
