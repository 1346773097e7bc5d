"""Maps become sites: readers of map formats, and builders of buildings, ground, vegetation and their materials."""
