"""Numbers, moments and durations as a person reads them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from prospect.runs.strict_json import as_number


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
        digits, _, power = f"{real:.1e}".partition("e")
        return f"{digits}e{int(power)}"
    return f"{real:.4f}" if abs(real) < 10 else f"{real:,.2f}" if abs(real) < 1000 else f"{real:,.0f}"


def short(value: float) -> str:
    return _exponent(f"{value:.3g}")


def tick(value: float) -> str:
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    return f"{value:,.10g}" if plain else _exponent(f"{value:.3e}")


def _exponent(text: str) -> str:
    """2.500e-04 → 2.5e-4"""
    digits, e, power = text.partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}" if e else text


def moment(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%-d %b %Y, %H:%M} UTC" if text else ""


def span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
