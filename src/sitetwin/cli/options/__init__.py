"""Options of the commands: single ones, and groups that check themselves and become objects of the library."""
