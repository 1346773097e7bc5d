"""The program `sitetwin`, also as `python -m sitetwin`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C is answered even while it is still being loaded."""
    try:
        from sitetwin.cli import main as run
    except KeyboardInterrupt:
        print("sitetwin: stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
