"""A preview drawn: on the terminal, and as one self-contained page. Every text from data is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from prospect.disk import write_atomically
from prospect.runs.reports import preview_stream

# One look for a channel everywhere: (terminal style, page colour).
CHANNELS = {
    "answer": ("black on green", "#bfe8c4"),
    "speak": ("black on cyan", "#bfe3f2"),
    "dst": ("black on yellow", "#f6e3a1"),
}


def show(view: dict[str, Any], console: Console) -> None:
    """Turns, tokens coloured by channel, counts, and the audit of the split."""
    place = f"{view['data']}/{view['split']}[{view['index']}]"
    for number, part in enumerate(view["parts"], 1):
        of = f"  part {number} of {len(view['parts'])}" if len(view["parts"]) > 1 else ""
        of = f"  the {part['answer']} answer" if part["answer"] else of
        turns = preview_stream.turns(part) if part["stream"] else _turns(part)
        tokens = [Text(), _tokens(part["tokens"]), Text(), _legend(view)]
        console.print(Panel(Group(*turns, *tokens), title=Text(f"{place}  {part['id']}{of}")))
        console.print(_counts(view, part))
    console.print(_audit(view["audit"]))


def page(view: dict[str, Any], path: Path) -> Path:
    environment = Environment(
        loader=PackageLoader("prospect.runs", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": preview_stream.percent, "seconds": preview_stream.seconds}
    environment.globals |= {"ticks": preview_stream.ticks, "stream_counts": preview_stream.counts}
    colours = {channel: colour for channel, (_, colour) in CHANNELS.items()}
    write_atomically(path, environment.get_template("reports/preview.html.j2").render(view=view, colours=colours))
    return path.absolute()


def _turns(part: dict[str, Any]) -> list[Text]:
    lines = []
    for turn in part["turns"]:
        line = Text(f"{turn['role']:>10}  ", style="bold")
        for piece in turn["parts"]:
            text = piece["text"] if "text" in piece else f"[{piece['name']} {piece['size']}] "
            line.append(text, style="not bold")
        lines.append(line)
    return lines


def _tokens(tokens: list[dict[str, Any]]) -> Text:
    text = Text()
    for number, token in enumerate(tokens):
        style = CHANNELS[token["channel"]][0] if token["channel"] else "dim" if token["control"] else ""
        if not style and number % 2:
            style = "underline"  # so that the borders of plain tokens can be seen
        text.append(token["text"].replace("\n", "⏎\n"), style=style)
    return text


def _legend(view: dict[str, Any]) -> Text:
    legend = Text("learnt: ")
    for channel in view["audit"]["by_channel"] or {"nothing": 0}:
        legend.append(f" {channel} ", style=CHANNELS.get(channel, ("red", ""))[0]).append(" ")
    return legend


def _counts(view: dict[str, Any], part: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    rows = part["counts"] | (preview_stream.counts(part["stream"], view["frames"]) if part["stream"] else {})
    for name, value in rows.items():
        table.add_row(name, Text(f"{value:,}" if isinstance(value, int) else value))
    table.add_row("model", f"{view['model']['parameters']:,} parameters")
    return table


def _audit(audit: dict[str, Any]) -> Group:
    lines = [
        Text(f"\naudit of the split: {audit['samples']:,} samples, {audit['tokens']:,} tokens, ", style="bold").append(
            f"{audit['learnt']:,} learnt; the longest has {audit['longest']:,}"
        )
    ]
    if audit["classes"]:
        lines.append(Text(f"  classes  {preview_stream.counted(audit['classes'])}"))
    if audit["streams"]:
        streams = audit["streams"]
        lines.append(Text(f"  {streams['clips']:,} clips, {streams['frames']:,} frames"))
        lines.append(Text(f"  events  {preview_stream.counted(streams['events']) or 'none'}"))
    lines += [
        Text(f"  {f['severity']}  {f['kind']} × {f['count']}: {f['example']}", style="yellow")
        for f in audit["findings"]
    ]
    lines += [Text(f"  label fault  {fault}", style="red") for fault in audit["faults"]]
    if not audit["faults"]:
        lines.append(Text("  every learnt span decodes to its turn and end token", style="green"))
    return Group(*lines)
