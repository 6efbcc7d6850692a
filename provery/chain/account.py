"""One account on one chain: :class:`provery.core.lanes.Chain` over JSON-RPC endpoints and a signer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from provery.chain import answers, metrics, shapes, transactions
from provery.chain.endpoint import Ask, Failure, Limits, Result
from provery.chain.nonces import taker
from provery.chain.reverts import ErrorNames
from provery.chain.rpc import Rpc, Said
from provery.chain.sendings import final, for_the_operator, sent
from provery.chain.shapes import quantity
from provery.chain.signers import Signer, local_signer
from provery.chain.web3signer import RemoteSigner
from provery.core.errors import ConfigurationError, Reverted, SinkUnavailable
from provery.core.lanes import Account, Block, Call, Contract, Fees, Receipt, Sent, Signed, Unsigned
from provery.core.types import Json

FEE_BLOCKS = 10
"""Blocks whose usual tips are looked at where the node suggests none."""
_UNSUPPORTED = frozenset({-32601, -32600, -32602, -32004})
"""JSON-RPC error codes of a node that lacks a method, or a form of its parameters (EIP-1474)."""


async def open_chain(
    endpoints: Sequence[str], account: Account, contract: Contract, *, limits: Limits | None = None
) -> EvmAccount:
    """See :data:`provery.core.lanes.OpenChain`."""
    names = ErrorNames(contract.errors)
    rpc = Rpc(endpoints, limits)
    try:
        signer = await open_signer(account)
        try:
            await rpc.connect()
        except BaseException:
            await signer.close()
            raise
    except BaseException:
        await rpc.close()
        raise
    return EvmAccount(rpc, signer, names)


async def open_signer(account: Account) -> Signer:
    """The signer that an account's settings name.

    Raises:
        ConfigurationError: none or several are set, or the one that is set is unusable.
        SinkUnavailable: a remote signer does not answer.
    """
    given = {
        "a private key": bool(account.private_key),
        "a keystore": account.keystore is not None,
        "a mnemonic": bool(account.mnemonic),
        "a remote signer": bool(account.remote),
    }
    chosen = [name for name, there in given.items() if there]
    if len(chosen) != 1:
        raise ConfigurationError(
            "the sending account is not set" if not chosen else "the sending account is set more than once",
            value=" and ".join(chosen) or None,
            expected=f"exactly one of {', '.join(given)}",
        )
    return await RemoteSigner.open(account) if account.remote else await local_signer(account)


class EvmAccount:
    """An account, its chain and its contract's errors. Use :func:`open_chain`.

    Args:
        rpc: Connected endpoints.
        signer: The account.
        names: Custom errors of the contract that is called.
    """

    def __init__(self, rpc: Rpc, signer: Signer, names: ErrorNames) -> None:
        self._rpc, self._signer, self._names = rpc, signer, names
        self.chain_id = rpc.chain_id
        self.sender = signer.address

    def __repr__(self) -> str:
        return f"EvmAccount(chain {self.chain_id}, {self.sender})"

    async def close(self) -> None:
        """Close connections."""
        await self._signer.close()
        await self._rpc.close()

    # ------------------------------------------------------------------ what the chain says

    async def fees(self) -> Fees:
        """What the next block charges: the node's suggestion of a tip, or the usual one of late."""
        asks = [
            Ask("eth_getBlockByNumber", ("latest", False)),
            Ask("eth_feeHistory", (hex(FEE_BLOCKS), "latest", [50])),
            Ask("eth_maxPriorityFeePerGas"),
            Ask("eth_gasPrice"),
        ]
        return await self._rpc.first(asks, answers.fees, final=lambda failure: failure.code in _UNSUPPORTED)

    async def nonce(self) -> int:
        """Transactions of the account in the newest block, by the node that has seen most."""
        ask = Ask("eth_getTransactionCount", (self.sender, "latest"))
        return max(await self._rpc.every([ask], lambda said: quantity(answers.value(said), bits=64)))

    async def balance(self) -> int:
        """Wei of the account."""
        ask = Ask("eth_getBalance", (self.sender, "latest"))
        wei = await self._rpc.first([ask], lambda said: quantity(answers.value(said)))
        metrics.BALANCE.labels(str(self.chain_id), self.sender).set(wei)
        return wei

    async def head(self) -> Block:
        """The newest block that any endpoint has, unless nobody else is anywhere near it."""
        ask = Ask("eth_getBlockByNumber", ("latest", False))
        blocks = await self._rpc.every([ask], lambda said: shapes.block(answers.value(said)))
        likely = [block for block in blocks if self._rpc.heads.likely(block.number)]
        return max(likely or blocks[:1], key=lambda block: block.number)

    async def known(self, tx_hash: str) -> bool:
        """Whether a node has the transaction, pending or in a block."""
        ask = Ask("eth_getTransactionByHash", (tx_hash,))
        return any(await self._rpc.every([ask], lambda said: answers.has(said, tx_hash)))

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Its receipt, if it is in a block of the chain as it is now."""
        ask = Ask("eth_getTransactionReceipt", (tx_hash,))
        problems: list[SinkUnavailable] = []
        for said, included in await self._rpc.every([ask], lambda said: (said, answers.included(said))):
            if not included:
                continue
            block = Ask("eth_getBlockByNumber", (included.get("blockNumber"), False))
            try:
                read = partial(answers.receipt, included, tx_hash, said.head)
                found = await self._rpc.again(said, [block], read)
            except SinkUnavailable as error:
                problems.append(error)
                continue
            if found is not None:
                return found
        if problems:
            raise problems[0]
        return None

    async def blocks_of(self, hashes: Sequence[str]) -> dict[str, str]:
        """Hash of the block that each transaction is in, as the first endpoint has it: a hint."""
        if not hashes:
            return {}
        asks = [Ask("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes]
        return await self._rpc.first(asks, partial(answers.blocks, hashes))

    async def taken(self, nonce: int) -> Receipt | None:
        """Receipt of whichever transaction of the account has a nonce."""
        found = await taker(self._rpc, self.sender, nonce)
        return None if found is None else await self.receipt(found)

    # ------------------------------------------------------------------ calls

    async def estimate(self, call: Call) -> int:
        """Gas that the call uses now."""
        ask = Ask("eth_estimateGas", (self._request(call),))
        return await self._rpc.first(
            [ask],
            lambda said: quantity(self._unless_refused(said, call.method), bits=64),
            final=self._refusal,
        )

    async def read(self, to: str, data: str, *, block: str = "latest") -> bytes:
        """Result of a call that changes nothing."""
        ask = Ask("eth_call", ({"from": self.sender, "to": to, "data": data}, block))
        what = f"the call {data[:10]}"
        return await self._rpc.first(
            [ask], lambda said: shapes.data(self._unless_refused(said, what)), final=self._refusal
        )

    async def code(self, address: str) -> bytes:
        """Code of the contract at an address; empty where there is none."""
        ask = Ask("eth_getCode", (address, "latest"))
        return await self._rpc.first([ask], lambda said: shapes.data(answers.value(said)))

    async def storage(self, address: str, slot: int) -> int:
        """A word of a contract's storage; 0 where nothing was stored."""
        ask = Ask("eth_getStorageAt", (address, f"0x{slot:064x}", "latest"))
        return await self._rpc.first(
            [ask], lambda said: int.from_bytes(shapes.data(answers.value(said))[-32:])
        )

    async def why_reverted(self, call: Call, receipt: Receipt) -> str:
        """The custom error, or reason, that a call reverted with in a block; found by repeating it there.

        It is repeated with the transaction's gas on the state after the block, which holds what went before it there,
        and then on the state before.
        """
        request = self._request(call) | await self._gas_of(receipt.hash)
        for number in (receipt.block.number, receipt.block.number - 1):
            ask = Ask("eth_call", (request, hex(max(number, 0))))
            answer = await self._rpc.first([ask], lambda said: said.answers[0], final=lambda _: True)
            reason = self._names.of_failure(answer) if isinstance(answer, Failure) else None
            if reason is not None:
                return reason
        return f"reverted with {receipt.gas_used} gas used; the call passes when it is repeated in that block"

    async def _gas_of(self, tx_hash: str) -> dict[str, Json]:
        ask = Ask("eth_getTransactionByHash", (tx_hash,))
        found = await self._rpc.first([ask], answers.value)
        gas = found.get("gas") if isinstance(found, dict) else None
        return {"gas": gas} if isinstance(gas, str) else {}

    def _request(self, call: Call) -> dict[str, Json]:
        request: dict[str, Json] = {"from": self.sender, "to": call.to, "data": call.data}
        if call.value:
            request["value"] = hex(call.value)
        if call.gas:
            request["gas"] = hex(call.gas)
        return request

    def _refusal(self, failure: Failure) -> bool:
        return self._names.of_failure(failure) is not None

    def _unless_refused(self, said: Said, what: str) -> Any:
        answer = said.answers[0]
        if isinstance(answer, Result):
            return answer.value
        reason = self._names.of_failure(answer) or str(answer)
        raise Reverted(f"the contract refuses {what or 'the call'}: {reason}")

    # ------------------------------------------------------------------ transactions

    async def sign(self, transaction: Unsigned) -> Signed:
        """Sign; nothing is sent. The same transaction gives the same bytes, unless a remote signer has it otherwise."""
        return await transactions.sign(transaction, self.chain_id, self._signer)

    async def send(self, signed: Signed) -> Sent:
        """Hand a raw transaction to the first node that answers.

        Where the answer does not come, or says nothing certain, the next node is asked; a node that has the transaction
        from before says so, and that counts as accepted.

        Raises:
            InvalidInput: the node refuses the transaction for what it is; no repetition mends that.
            ConfigurationError: the node, or the account, has to be set up differently.
        """
        ask = Ask("eth_sendRawTransaction", (signed.raw,))
        try:
            outcome = await self._rpc.first(
                [ask],
                partial(answers.outcome, signed),
                final=lambda failure: bool(sent(failure)) or for_the_operator(failure) or final(failure),
                fresh=False,
            )
        except SinkUnavailable:
            # What was lost may be the answer of a node that took it.
            if not await self._is_known(signed.hash):
                raise
            outcome = Sent.ACCEPTED
        metrics.SENT.labels(str(self.chain_id), self.sender, outcome.value).inc()
        return outcome

    async def _is_known(self, tx_hash: str) -> bool:
        try:
            return await self.known(tx_hash)
        except SinkUnavailable:
            return False
