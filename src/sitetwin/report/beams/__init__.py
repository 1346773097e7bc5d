"""The page of the beam study."""
