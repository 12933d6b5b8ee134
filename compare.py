"""Run folders side by side: `python compare.py DIR… [by=…] [metric=…] [baseline=…] [--html FILE]`."""

from __future__ import annotations

import sys

from prospect.runs.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
