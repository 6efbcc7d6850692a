"""What the upstream state prover serves, under its paths: whether it lives, its version, and its contract's address."""

from __future__ import annotations

from fastapi import APIRouter

from provery import __version__


def routes(contract: str) -> APIRouter:
    """The routes of one stream.

    Args:
        contract: Checksummed address of the light-client contract.
    """
    router = APIRouter(tags=["hotshot"])

    @router.get("/healthcheck")
    async def healthcheck() -> dict[str, str]:
        """Whether the service answers; /ready says whether it can work."""
        return {"status": "available"}

    @router.get("/version")
    async def version() -> dict[str, str]:
        """Version of the service."""
        return {"app_version": __version__}

    @router.get("/api/lightclient_contract")
    @router.get("/v0/api/lightclient_contract")
    async def lightclient_contract() -> str:
        """Address of the light-client contract that states are proved to."""
        return contract

    return router
