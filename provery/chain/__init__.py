"""Ethereum: JSON-RPC, signers, fees, contracts' errors."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.lanes import Account, Chain, Contract


async def open_chain(endpoints: Sequence[str], account: Account, contract: Contract) -> Chain:
    """See :data:`provery.core.lanes.OpenChain`."""
    # The libraries take a second to load; only processes that submit need them.
    from provery.chain import account as accounts

    return await accounts.open_chain(endpoints, account, contract)
