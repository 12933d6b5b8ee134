"""C15: `train.py --cfg job`, every mistake checked, against Hydra alone on the same configuration."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Measured, side_by_side

ROOT = Path(__file__).parent.parent

HYDRA_ALONE = """
import hydra
import prospect.runs.stamp  # the resolver that the configuration names
hydra.main(version_base="1.3", config_path={conf!r}, config_name="config")(lambda config: None)()
"""


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "alone.py"
        script.write_text(HYDRA_ALONE.format(conf=str(ROOT / "conf")))

        def run(*words: str) -> None:
            subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)

        ours, alone = side_by_side(
            lambda: run(str(ROOT / "train.py"), "--cfg", "job"), lambda: run(str(script), "--cfg", "job"), rounds=7
        )
    return [Measured("C15 train.py --cfg job", ours / alone, 2.0, False, f"{ours:.2f} s against {alone:.2f} s")]
