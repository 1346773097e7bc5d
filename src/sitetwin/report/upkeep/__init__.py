"""The page of a study of codecs over time."""
