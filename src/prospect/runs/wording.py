"""Numbers, moments and durations as a person reads them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from prospect.runs.files import as_number


def number(value: Any) -> str:
    """0.9583, 1,234, 3.0e-5; what is no number as it is."""
    real = as_number(value)
    if real is None:
        return str(value)
    if not math.isfinite(real):
        return str(value) if isinstance(value, str) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(real, "NaN")
    if real == int(real) and abs(real) < 1e12:
        return "1.0000" if value == 1 and isinstance(value, float) else f"{int(real):,}"
    if abs(real) < 1e-3:
        return f"{real:.1e}".replace("e-0", "e-")
    return f"{real:.4f}" if abs(real) < 10 else f"{real:,.2f}" if abs(real) < 1000 else f"{real:,.0f}"


def short(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def tick(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e") if _round(value) else f"{value:.1e}"
    return f"{value:,.10g}"


def _round(value: float) -> bool:
    return math.isclose(float(f"{value:.0e}"), value, rel_tol=1e-9)


def moment(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%-d %b %Y, %H:%M} UTC" if text else ""


def span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
