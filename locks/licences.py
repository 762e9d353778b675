"""Name, version and licence of every distribution installed here, as each says itself: `make licences`."""

from importlib.metadata import PackageMetadata, distributions


def licence(about: PackageMetadata) -> str:
    """The SPDX expression; without one, what classifiers say, or the first line of the text."""
    named = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    classes = [name for name in named if name != "OSI Approved"]
    text = about.get("License", "").strip().splitlines()
    return about.get("License-Expression") or ", ".join(classes) or (text[0] if text else "not said")


for one in sorted(distributions(), key=lambda one: one.name.lower()):
    print(f"{one.name:<32}{one.version:<20}{licence(one.metadata)}")
