"""What a report and the terminal show of a judge's verdicts: means with intervals, how many failed, and each clip's.

All of it is read from metrics.json and predictions/*.watched.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ASPECTS = ("overall", "correctness", "promptness", "efficiency")
ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def judged(split: str, metrics: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A split's means, and the clips whose verdict could not be had: those are in no mean."""
    if f"{split}/judge/failed" not in metrics:
        return None
    models = {verdict["model"] for row in rows if (verdict := _verdict(row))}
    return {
        "split": split,
        "models": sorted(models),
        "aspects": [
            {"name": name, **{key: metrics.get(f"{split}/judge/{name}{end}") for key, end in ENDS}}
            for name in ASPECTS
            if f"{split}/judge/{name}" in metrics
        ],
        "judged": metrics.get(f"{split}/judge/judged"),
        "failed": metrics[f"{split}/judge/failed"],
    }


def told(row: Mapping[str, Any]) -> str:
    """A clip's verdict in a few words; nothing where it was not asked for."""
    verdict = _verdict(row)
    if verdict is None:
        return ""
    scores = verdict["scores"]
    return f"judge: {', '.join(f'{name} {scores[name]}' for name in ASPECTS)}" if scores else "judge: failed"


def _verdict(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Files may be written by others: only what has all parts is one."""
    found = row.get("judge")
    if not isinstance(found, dict) or not isinstance(found.get("model"), str):
        return None
    scores = found.get("scores")
    whole = isinstance(scores, dict) and all(type(scores.get(name)) is int for name in ASPECTS)
    return found if scores is None or whole else None


def cell(metrics: Mapping[str, Any], split: str) -> str:
    """Overall, behind the failures in brackets; nothing where nobody judged."""
    failed, overall = metrics.get(f"{split}/judge/failed"), metrics.get(f"{split}/judge/overall")
    if failed is None:
        return ""
    return f"({failed:.0f}) " + ("none" if overall is None else f"{overall:.3f}")
