"""The page of the CSI study."""
