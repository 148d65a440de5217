"""The peer: an empty route, as the framework's own documentation writes it."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def empty() -> dict[str, str]:
    """Nothing."""
    return {}
