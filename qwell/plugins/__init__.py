"""Models, kernels, shapes, packets and propagators of others, in one table.

A plug-in is there because somebody named it: it was imported, `QWELL_PLUGINS` or `--plugin` names it, or it
is installed with an entry point in one of the groups `qwell.models`, `qwell.kernels` … What a data set, a
model or a run was made with is recorded by name, version and sha256 of the source, and a record is only ever
compared with what is there: nothing is imported because a record says so.
"""

from qwell.plugins.records import Parcel, check, fingerprint, parcel, receive, recorded
from qwell.plugins.table import (
    FILES,
    GROUPS,
    NAMED,
    TABLE,
    VARIABLE,
    Family,
    find,
    name_plugins,
    register_kernel,
    register_model,
    register_packet,
    register_propagator,
    register_shape,
)

__all__ = [
    "FILES",
    "GROUPS",
    "NAMED",
    "TABLE",
    "VARIABLE",
    "Family",
    "Parcel",
    "check",
    "find",
    "fingerprint",
    "name_plugins",
    "parcel",
    "receive",
    "recorded",
    "register_kernel",
    "register_model",
    "register_packet",
    "register_propagator",
    "register_shape",
]
