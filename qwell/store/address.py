"""Addresses as they may be written down: without what lets one in."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"\b([a-zA-Z][\w+.-]*)://([^/?#@\s]*)@")
_SIGNED = re.compile(r"\b(https?://[^?#\s'\"]*)\?[^#\s'\"]*")


def shown(text: str) -> str:
    """An address, or a text with addresses, without passwords, tokens and signed queries.

    ssh://user:secret@host/m3.zarr becomes ssh://user@host/m3.zarr; other logins go altogether, as do the
    queries of https://, which may be signatures.
    """
    return _SIGNED.sub(r"\1", _LOGIN.sub(_public, text))


def _public(match: re.Match[str]) -> str:
    scheme, login = match[1], match[2]
    user = login.partition(":")[0] if scheme.lower() in ("ssh", "sftp") else ""
    return f"{scheme}://{user}@" if user else f"{scheme}://"
