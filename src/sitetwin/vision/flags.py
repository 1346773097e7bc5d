"""What may be wrong with a moment, as the results say it."""

NO_IMAGE = "no-image"
"""There is no image of this moment."""

BROKEN_IMAGE = "broken-image"
"""The image cannot be read; a black one stands in its place, in which nothing is seen."""

WRONG_SIZE = "wrong-size"
"""The image is of another shape than the camera's; a black one stands in its place."""

RESIZED = "resized"
"""The image is of another size than the camera's, and was scaled."""

DARK = "dark"
"""The image is dark: less is found in it."""

NO_DETECTION = "no-detection"
"""Nothing was found in the image."""
