"""The routes: each a function of what was opened and what is asked. All else is in the other modules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import qwell
from qwell.errors import DatasetReplaced, InvalidInput, QwellError
from qwell.explore import draw, packets, samples, trainings
from qwell.explore.asked import Asked
from qwell.explore.guard import Guard
from qwell.explore.networks import network_of
from qwell.explore.opened import Opened
from qwell.explore.serve import STATIC
from qwell.explore.wire import packed
from qwell.physics.kernels import KERNELS
from qwell.train.calibration import COVERAGES

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
BINARY = "application/octet-stream"
Answer = Callable[[Opened, Asked], Any]


def hello(opened: Opened, asked: Asked) -> draw.Reply:
    """What there is to look at: version, data sets, and which view comes first."""
    listed = [{**one, "path": name} for name, one in opened.datasets().items()]
    head = {"version": qwell.__version__, "first": opened.first, "datasets": listed}
    return {**head, "kernels": list(KERNELS), "coverages": COVERAGES, "runs": len(opened.trainings())}, {}


def networks(opened: Opened, asked: Asked) -> draw.Reply:
    """Networks by task, and why there is none, if so."""
    known, missing = opened.networks()
    tasks = ("spectra", "dynamics")
    return {task: [n for n, its in known.items() if its == task] for task in tasks} | {"missing": missing}, {}


def network(opened: Opened, asked: Asked) -> draw.Reply:
    """What a network was trained on."""
    return network_of(opened, str(asked.get("network", ""))).described(), {}


def barrier(opened: Opened, asked: Asked) -> draw.Reply:
    """See `packets.barrier`."""
    return packets.barrier(asked)


ANSWERS: dict[str, Answer] = {
    "hello": hello,
    "networks": networks,
    "network": network,
    "potential": draw.potential,
    "solve": draw.solve,
    "about": samples.about,
    "row": samples.row,
    "chosen": samples.chosen,
    "histogram": samples.histogram,
    "barrier": barrier,
    "play": packets.play,
    "runs": trainings.listed,
    "run": trainings.one,
    "figure": trainings.figure,
}


async def answer(request: Request, function: Answer, opened: Opened) -> Response:
    """One question of the page, a JSON object; what is wrong with it is said in the answer's `error`."""
    try:
        asked = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        asked = None
    found: bytes | Iterator[bytes]
    try:
        if not isinstance(asked, dict):
            raise InvalidInput("a question is a JSON object")
        found = await run_in_threadpool(_computed, function, opened, asked)
    except QwellError as error:
        if isinstance(error, DatasetReplaced) and asked:
            opened.kept.forget(f"data {asked.get('data')}")
        found = packed({"error": str(error)})
    if isinstance(found, bytes):
        return Response(found, media_type="image/png" if found[:4] == b"\x89PNG" else BINARY)
    return StreamingResponse(found, media_type=BINARY)


def _computed(function: Answer, opened: Opened, asked: Asked) -> bytes | Iterator[bytes]:
    """An answer as it is sent: a message, several as they are made, or a file."""
    with np.errstate(all="ignore"):
        found = function(opened, asked)
    return packed(*found) if isinstance(found, tuple) else found


async def static(request: Request) -> Response:
    """The page and its modules."""
    name = request.path_params.get("name") or "index.html"
    known = {entry.name: entry for entry in STATIC.iterdir()}
    if name not in known or (suffix := name[name.rfind(".") :]) not in TYPES:
        return Response("there is no such file", 404)
    text = known[name].read_text(encoding="utf-8")
    if name == "index.html":
        text = text.replace('data-server="no"', 'data-server="yes"')
    return Response(text, media_type=TYPES[suffix])


def make_app(opened: Opened, token: str, hosts: tuple[str, ...]) -> Guard:
    """The server's application.

    Arguments:
        opened: what may be looked at.
        token: first part of every path.
        hosts: names of the server, e.g. "127.0.0.1:8899".
    """
    routes = [
        *(
            Route(f"/api/{name}", partial(answer, function=function, opened=opened), methods=["POST"])
            for name, function in ANSWERS.items()
        ),
        Route("/{name:str}", static),
        Route("/", static),
    ]
    return Guard(Starlette(routes=routes), token, hosts)
