"""The program `sitetwin`, also as `python -m sitetwin`."""

import sys

from sitetwin.cli import ctrl_c


def main() -> None:
    """Run the command line; Ctrl-C is answered even while it is still being loaded."""
    ctrl_c.watch()
    try:
        from sitetwin.cli.app import main as run
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, Exception) and not ctrl_c.pressed():
            raise
        print("sitetwin: stopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
