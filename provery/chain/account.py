"""One account on one chain: :class:`provery.core.lanes.Chain` over JSON-RPC endpoints and a signer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeVar

from provery.chain import metrics, shapes, transactions
from provery.chain.endpoint import Answer, Ask, Failure, Limits, Result
from provery.chain.nonces import taker
from provery.chain.reverts import ErrorNames
from provery.chain.rpc import Rpc, Said
from provery.chain.sendings import final, for_the_operator, sent
from provery.chain.shapes import Malformed, digest, quantity
from provery.chain.signers import Signer, local_signer
from provery.chain.web3signer import RemoteSigner
from provery.core.errors import ConfigurationError, InvalidInput, Reverted, SinkUnavailable
from provery.core.lanes import Account, Block, Call, Contract, Fees, Receipt, Sent, Signed, Unsigned
from provery.core.types import Json

FEE_BLOCKS = 10
"""Blocks whose usual tips are looked at where the node suggests none."""
_UNSUPPORTED = frozenset({-32601, -32600, -32602, -32004})
"""JSON-RPC error codes of a node that lacks a method, or a form of its parameters (EIP-1474)."""

T = TypeVar("T")


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
        said = await self._rpc.first(asks, final=lambda failure: failure.code in _UNSUPPORTED)
        return self._checked(said, _fees)

    async def nonce(self) -> int:
        """Transactions of the account in the newest block, by the node that has seen most."""
        said = await self._rpc.every([Ask("eth_getTransactionCount", (self.sender, "latest"))])
        return max(self._each(said, lambda one: quantity(_value(one.answers[0]), bits=64)))

    async def balance(self) -> int:
        """Wei of the account."""
        said = await self._rpc.first([Ask("eth_getBalance", (self.sender, "latest"))])
        wei = self._checked(said, lambda answers: quantity(_value(answers[0])))
        metrics.BALANCE.labels(str(self.chain_id), self.sender).set(wei)
        return wei

    async def head(self) -> Block:
        """The newest block that any endpoint has."""
        said = await self._rpc.every([Ask("eth_getBlockByNumber", ("latest", False))])
        blocks = self._each(said, lambda one: shapes.block(_value(one.answers[0])))
        return max(blocks, key=lambda block: block.number)

    async def known(self, tx_hash: str) -> bool:
        """Whether a node has the transaction, pending or in a block."""
        said = await self._rpc.every([Ask("eth_getTransactionByHash", (tx_hash,))])
        return any(self._each(said, lambda one: _is(one.answers[0], "hash", tx_hash)))

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Its receipt, if it is in a block of the chain as it is now."""
        for one in await self._rpc.every([Ask("eth_getTransactionReceipt", (tx_hash,))]):
            value = _value(one.answers[0])
            if isinstance(value, dict) and value.get("blockHash") is not None:
                found = await self._confirmed(one, value, tx_hash)
                if found is not None:
                    return found
        return None

    async def taken(self, nonce: int) -> Receipt | None:
        """Receipt of whichever transaction of the account has a nonce."""
        found = await taker(self._rpc, self.sender, nonce)
        return None if found is None else await self.receipt(found)

    async def _confirmed(self, said: Said, value: dict[str, Any], tx_hash: str) -> Receipt | None:
        """A receipt whose block is in the chain by the same node's word."""
        (answer,) = await self._rpc.again(
            said, [Ask("eth_getBlockByNumber", (value.get("blockNumber"), False))]
        )
        if isinstance(answer, Failure) or answer.value is None:
            return None
        try:
            block = shapes.block(answer.value)
            receipt = _receipt(value, tx_hash, block)
        except Malformed as error:
            raise self._malformed(said, error) from None
        return receipt if digest(value["blockHash"]) == block.hash else None

    # ------------------------------------------------------------------ calls

    async def estimate(self, call: Call) -> int:
        """Gas that the call uses now."""
        said = await self._rpc.first([Ask("eth_estimateGas", (self._request(call),))], final=self._refusal)
        self._raise_refusal(said.answers[0], call.method)
        return self._checked(said, lambda answers: quantity(_value(answers[0]), bits=64))

    async def read(self, to: str, data: str, *, block: str = "latest") -> bytes:
        """Result of a call that changes nothing."""
        request: dict[str, Json] = {"from": self.sender, "to": to, "data": data}
        said = await self._rpc.first([Ask("eth_call", (request, block))], final=self._refusal)
        self._raise_refusal(said.answers[0], f"the call {data[:10]}")
        return self._checked(said, lambda answers: shapes.data(_value(answers[0])))

    async def code(self, address: str) -> bytes:
        """Code of the contract at an address; empty where there is none."""
        said = await self._rpc.first([Ask("eth_getCode", (address, "latest"))])
        return self._checked(said, lambda answers: shapes.data(_value(answers[0])))

    async def storage(self, address: str, slot: int) -> int:
        """A word of a contract's storage; 0 where nothing was stored."""
        said = await self._rpc.first([Ask("eth_getStorageAt", (address, f"0x{slot:064x}", "latest"))])
        return self._checked(said, lambda answers: int.from_bytes(shapes.data(_value(answers[0]))[-32:]))

    async def why_reverted(self, call: Call, receipt: Receipt) -> str:
        """The custom error, or reason, that a call reverted with in a block; found by repeating it there.

        It is repeated with the transaction's gas on the state after the block, which holds what went before it there,
        and then on the state before.
        """
        request = self._request(call) | await self._gas_of(receipt.hash)
        for number in (receipt.block.number, receipt.block.number - 1):
            said = await self._rpc.first(
                [Ask("eth_call", (request, hex(max(number, 0))))], final=lambda _: True
            )
            answer = said.answers[0]
            reason = self._names.of_failure(answer) if isinstance(answer, Failure) else None
            if reason is not None:
                return reason
        return f"reverted with {receipt.gas_used} gas used; the call passes when it is repeated in that block"

    async def _gas_of(self, tx_hash: str) -> dict[str, Json]:
        said = await self._rpc.first([Ask("eth_getTransactionByHash", (tx_hash,))])
        found = _value(said.answers[0])
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

    def _raise_refusal(self, answer: Answer, what: str) -> None:
        if isinstance(answer, Failure):
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
        try:
            said = await self._rpc.first(
                [Ask("eth_sendRawTransaction", (signed.raw,))],
                final=lambda failure: bool(sent(failure)) or for_the_operator(failure) or final(failure),
                fresh=False,
            )
        except SinkUnavailable:
            # The last word of a node that took it may be what was lost.
            if await self._is_known(signed.hash):
                return self._counted(Sent.ACCEPTED)
            raise
        answer = said.answers[0]
        if isinstance(answer, Result):
            if self._checked(said, lambda _: digest(answer.value)) != signed.hash:
                raise SinkUnavailable(f"{said.endpoint.name} answered a transaction with another's hash")
            return self._counted(Sent.ACCEPTED)
        outcome = sent(answer)
        if outcome is None:
            refusal = ConfigurationError if for_the_operator(answer) else InvalidInput
            raise refusal(f"{said.endpoint.name} refuses the transaction: {answer}")
        return self._counted(outcome)

    async def _is_known(self, tx_hash: str) -> bool:
        try:
            return await self.known(tx_hash)
        except SinkUnavailable:
            return False

    def _counted(self, outcome: Sent) -> Sent:
        metrics.SENT.labels(str(self.chain_id), self.sender, outcome.value).inc()
        return outcome

    # ------------------------------------------------------------------ shapes

    def _checked(self, said: Said, read: Callable[[Sequence[Answer]], T]) -> T:
        try:
            return read(said.answers)
        except Malformed as error:
            raise self._malformed(said, error) from None

    def _each(self, said: Sequence[Said], read: Callable[[Said], T]) -> list[T]:
        """What endpoints said, without those that said nonsense, unless all did."""
        found: list[T] = []
        problems: list[SinkUnavailable] = []
        for one in said:
            try:
                found.append(read(one))
            except Malformed as error:
                problems.append(self._malformed(one, error))
        if not found:
            raise problems[0]
        return found

    @staticmethod
    def _malformed(said: Said, error: Malformed) -> SinkUnavailable:
        return SinkUnavailable(f"{said.endpoint.name} answered {error}", action="it is tried again later")


def _value(answer: Answer) -> Any:
    if isinstance(answer, Failure):
        raise Malformed("an error", answer)
    return answer.value


def _is(answer: Answer, field: str, tx_hash: str) -> bool:
    value = _value(answer)
    return value is not None and digest(shapes.mapping(value).get(field)) == tx_hash.lower()


def _fees(answers: Sequence[Answer]) -> Fees:
    latest, history, tip, price = answers
    if "baseFeePerGas" not in shapes.mapping(_value(latest)):
        return Fees(base=quantity(_value(price)), priority=0, dynamic=False)
    past = {} if isinstance(history, Failure) else shapes.mapping(history.value)
    bases = [quantity(base) for base in shapes.items(past.get("baseFeePerGas") or [])]
    # The last entry of the history is of the block to come; without it, this block's, raised as far as it may rise.
    base = bases[-1] if bases else -(-quantity(_value(latest)["baseFeePerGas"]) * 9 // 8)
    if isinstance(tip, Result):
        return Fees(base=base, priority=quantity(tip.value))
    rewards = [quantity(shapes.items(row)[0]) for row in shapes.items(past.get("reward") or []) if row]
    paid = [reward for reward in rewards if reward]
    return Fees(base=base, priority=int(median(paid)) if paid else 0)


def _receipt(value: dict[str, Any], tx_hash: str, block: Block) -> Receipt:
    if digest(value.get("transactionHash")) != tx_hash.lower():
        raise Malformed("a receipt of another transaction", value.get("transactionHash"))
    status = quantity(value.get("status"), bits=8)
    if status > 1:
        raise Malformed("a receipt whose status is neither 0 nor 1", status)
    return Receipt(
        hash=tx_hash.lower(),
        block=block,
        succeeded=status == 1,
        gas_used=quantity(value.get("gasUsed"), bits=64),
        gas_price=quantity(value.get("effectiveGasPrice")),
    )
