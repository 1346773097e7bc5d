"""A codec for one's own cell: from named channels to the bits of a report and back, in one file that knows its link."""
