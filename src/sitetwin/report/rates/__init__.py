"""The page of a study of rates."""
