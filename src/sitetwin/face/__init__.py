"""The public functions that a notebook and the command line share: place, trace, channels, data sets, coverage."""
