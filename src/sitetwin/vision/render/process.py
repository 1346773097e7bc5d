"""What the renderer's own process runs: ``python -m sitetwin.vision.render.process FILE_DESCRIPTOR``."""

import sys
from multiprocessing.connection import Connection

from sitetwin.vision.render.worker import serve

if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
