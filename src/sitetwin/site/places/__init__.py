"""Where radios and users may stand in a site."""
