"""Templates of the HTML pages: strict about what is missing, safe against what is in the data."""

from __future__ import annotations

import jinja2


def page_environment() -> jinja2.Environment:
    """An environment for the package's templates, without filters of its own."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("sitetwin.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
