"""What is wrong with a site, and where."""
