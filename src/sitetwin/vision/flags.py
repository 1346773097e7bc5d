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

CLOCK = "clock-backwards"
"""The time is not after that of the frame before: its fix and boxes are left out, and the track stands. Where it is
seconds behind, the track is begun anew."""

NO_PLACE = "no-place"
"""There was no fix of the user yet."""

USER_LOST = "user-lost"
"""There was no fix for so long that the user may be anywhere: no beams are ranked."""

OUT_OF_VIEW = "user-out-of-view"
"""The user is beyond the outermost beams."""

OFF_SITE = "user-off-site"
"""The user is beyond the site's edge."""

NOT_TRACED = "not-traced"
"""The scene could not be traced, so that no beams are ranked."""
