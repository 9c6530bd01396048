"""One way of drawing: a chart as a small PNG by Altair and vl-convert, which carry all that they need: nothing is fetched.

Belongs here: size, colours, the drawing itself. Not here: any chart (`model_pictures.py`, `segment_pictures.py`).
"""

from __future__ import annotations

from typing import Any

SIZE = {"width": 420, "height": 260}
ACTUAL, EXPECTED = "#4c78a8", "#f58518"


def png(chart: Any, title: str, **size: int) -> bytes:
    """The chart under its title; `size` (width, height in pixels) where it is not SIZE."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(chart.properties(title=title, **SIZE | size).to_dict(), scale=1.0))
