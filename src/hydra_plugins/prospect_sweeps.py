"""The plugins of this project under the only name that Hydra builds plugins from; what they do lies in prospect.runs.

Read at the start of every command, so nothing heavy may be imported here. No `__init__.py`: the package is shared.
"""

from prospect.runs.sweeps.local import Local as _Local
from prospect.runs.sweeps.queue import Here as _Here
from prospect.runs.sweeps.queue import Queue as _Queue
from prospect.runs.sweeps.sweeper import Sweep as _Sweep


class Sweeper(_Sweep):
    pass


class Local(_Local):
    pass


class Slurm(_Queue):
    pass


class SlurmHere(_Here):
    pass
