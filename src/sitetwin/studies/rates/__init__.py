"""The study of rates: codecs and what they must beat, at equal bits."""
