"""The codec of the small cell."""

from tests.learn.cell.conftest import channels, codec

__all__ = ["channels", "codec"]
