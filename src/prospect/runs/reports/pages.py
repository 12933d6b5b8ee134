"""What all pages share: how their templates are read, and a script that they may run and no other."""

from __future__ import annotations

import base64
import hashlib

import jinja2
from markupsafe import Markup

from prospect.runs.wording import moment, number, short, span, tick


def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prospect.runs", "."),
        autoescape=lambda name: name is not None and name.endswith("html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "moment": moment, "span": span, "tick": tick, "short": short}
    return environment


def script(*files: str) -> dict[str, str]:
    """Our own files, without data in them, and their hash: the page's policy lets nothing else run."""
    text = "\n".join(templates().get_template(file).render() for file in files)
    return {
        "script": Markup(text),
        "script_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
    }
