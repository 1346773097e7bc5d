"""`python -m sitetwin`: the command line."""

from sitetwin.cli import main

if __name__ == "__main__":
    main()
