"""What an audit saw of a data set: as a table, as JSON, and as the one message that refuses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

from prospect.errors import UserError

SHOWN = 5  # examples of a kind in one error message


@dataclass(frozen=True)
class Finding:
    """One thing the audit saw. `sample` is empty where the finding is about a file or a split."""

    kind: str
    severity: Literal["error", "warning"]
    split: str
    sample: str
    message: str


def by_kind(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings grouped by (severity, kind), errors first, each group in the order of reading."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity):
        groups.setdefault((finding.severity, finding.kind), []).append(finding)
    return groups


def findings_table(findings: Iterable[Finding], examples: int = 3) -> Table:
    """For a terminal: one row a kind, with its count and the first few messages."""
    table = Table("", "finding", "count", "what", title="data audit", title_justify="left")
    for (severity, kind), group in by_kind(findings).items():
        shown = [finding.message for finding in group[:examples]]
        if len(group) > examples:
            shown.append(f"… and {len(group) - examples} more")
        # Text, not str: file names and captions may hold what rich takes for markup
        table.add_row(Text(severity), Text(kind), str(len(group)), Text("\n".join(shown)))
    return table


def findings_list(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """For JSON: every finding, nothing left out."""
    return [asdict(finding) for finding in findings]


def refuse(findings: Iterable[Finding], folder: str, what: str = "rows", key: str = "folder") -> None:
    """One message with every error, by kind, when there is one."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        advice = f"data.on_bad=skip leaves these {what} out"
        raise UserError(f"data.{key}={folder}: {len(errors)} errors ({advice})\n{listing(errors)}")


def listing(findings: Iterable[Finding]) -> str:
    """Findings by kind with their counts, the first few of each in full."""
    lines = []
    for (_, kind), group in by_kind(findings).items():
        lines.append(f"  {kind}: {len(group)}")
        lines += [f"    {finding.message}" for finding in group[:SHOWN]]
        lines += [f"    … and {len(group) - SHOWN} more"] if len(group) > SHOWN else []
    return "\n".join(lines)
