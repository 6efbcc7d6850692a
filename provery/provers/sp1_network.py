"""Succinct's prover network as a prover: a compressed proof in the prove stage, a Groth16 proof in the compress stage.

Everything about paying once is in :mod:`provery.provers.sp1.requests`, waiting in :mod:`provery.provers.sp1.waiting`.
Here: what the network needs first, and that what comes back is what was paid for.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from hashlib import sha256
from pathlib import Path

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    ProofRejected,
    ProverCrashed,
    ProverTimeout,
    ProveryError,
)
from provery.core.ports import Ledger, Progress, Proof, Statement
from provery.provers.process import given_up, limits
from provery.provers.sp1 import bundle, checking
from provery.provers.sp1.checking import Checker
from provery.provers.sp1.client import NetworkClient, Refused
from provery.provers.sp1.inputs import Inputs
from provery.provers.sp1.order import Order
from provery.provers.sp1.proto import types_pb2
from provery.provers.sp1.requests import Requests
from provery.provers.sp1.secret import private_key
from provery.provers.sp1.settings import Program, Settings
from provery.provers.sp1.signing import Signer
from provery.provers.sp1.waiting import Waiting

_FETCHES = 3
"""How often a proof is fetched that turns out to be damaged."""
_log = logging.getLogger(__name__)
_WITHDRAW_S = 1.5
"""Of the two seconds that a cancelled stage may take."""


@dataclass(frozen=True)
class _Open:
    """What is opened at first use."""

    settings: Settings
    client: NetworkClient
    requests: Requests
    inputs: Inputs


class Sp1Network:
    """Proves on Succinct's prover network.

    Args:
        env: ``PROVERY_SP1_*`` and the account's key; see docs/sp1-network.md.
        home: Working directory of the installation.
        ledger: Where intents and receipts of requests are kept.
    """

    name = "sp1-network"

    def __init__(self, env: Mapping[str, str], home: Path, ledger: Ledger) -> None:
        self._env = env
        self._ledger = ledger
        self._checker = Checker(env, home)
        self._opened: _Open | None = None
        self.compresses = Settings.read(env).both
        """False where ``PROVERY_SP1_PROOFS`` asks for a Groth16 proof alone, which the prove stage makes then."""

    async def verifying_key(self, circuit: str) -> str:
        """See :meth:`provery.core.ports.StatementProver.verifying_key`; the same for every circuit."""
        return self._checker.verifying_key()

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        """Have a compressed proof made, or a Groth16 proof where that is all that is wanted.

        Raises:
            SpendingCapReached, ResourceExhausted: not for this money; nothing was requested.
            ProverTimeout: no proof in time; the request, if one stands, is taken up by the next attempt.
            ProverUnavailable: the network does not answer.
            ProverCrashed: the network gave up, or what it served is no proof of the statement.
            InvalidInput: the program fails on this statement.
            ConfigurationError, InvalidKey: something has to be set first.
        """
        mode = types_pb2.COMPRESSED if self.compresses else types_pb2.GROTH16
        return await self._made(statement, mode, into, progress, b"")

    async def compress(
        self, statement: Statement, proof: Mapping[str, Path], into: Path, progress: Progress
    ) -> Proof:
        """Have the Groth16 proof made. Raises as :meth:`prove`."""
        if not self.compresses:
            return Proof(proof)
        if checking.COMPRESSED not in proof:
            raise InvalidInput("there is no compressed proof to go with", expected=checking.COMPRESSED)
        first = bundle.read(checking.read(proof[checking.COMPRESSED], bundle.LARGEST), bundle.COMPRESSED)
        return await self._made(statement, types_pb2.GROTH16, into, progress, first.public)

    async def verify(self, statement: Statement, proof: Mapping[str, Path]) -> Mapping[str, str]:
        """See :meth:`provery.core.ports.StatementProver.verify`."""
        return await self._checker.accepted(statement, proof)

    async def close(self) -> None:
        """Close connections; requests in the network go on."""
        if self._opened is not None:
            await self._opened.client.close()
            self._opened = None

    # a proof

    async def _made(
        self, statement: Statement, mode: types_pb2.ProofMode, into: Path, progress: Progress, public: bytes
    ) -> Proof:
        checking.sync_of(statement)
        checking.previous_key(statement)
        self._checker.ready(statement)
        program, opened = Program.read(self._env), self._open()
        kind = types_pb2.ProofMode.Name(mode).lower()
        order = Order(
            statement.unit,
            f"{self.name}/{statement.request_key}/{kind}",
            mode,
            program.vk_hash,
            partial(opened.inputs.upload, statement, program, into, progress),
            cap_of(statement),
        )
        waiting = Waiting(opened.client, opened.requests, opened.settings, order, progress)
        allowed = limits.get().timeout_s or None
        clock = asyncio.timeout(allowed)
        try:
            async with clock:
                url = await waiting.fulfilled()
                files = await self._fetched(url, statement, mode, program, into, public)
        except TimeoutError:
            if not clock.expired():
                raise
            raise ProverTimeout(
                f"the prover network gave no {kind} proof in {allowed:g} s",
                action="the request stands and is taken up again; raise the stage's timeout_s if it needs longer",
            ) from None
        except asyncio.CancelledError:
            if given_up.get()():
                await _within(_WITHDRAW_S, waiting.withdraw())
            raise
        return Proof(files, await waiting.settled())

    async def _fetched(
        self,
        url: str,
        statement: Statement,
        mode: types_pb2.ProofMode,
        program: Program,
        into: Path,
        public: bytes,
    ) -> dict[str, Path]:
        """Fetch the proof and check it; what is damaged on its way is fetched again."""
        client, fetched = self._open().client, into / "fetched.bin"
        check = self._compressed if mode == types_pb2.COMPRESSED else self._groth16
        for left in reversed(range(_FETCHES)):
            await client.download(url, fetched)
            try:
                files = await check(fetched, statement, into, public)
            except ProofRejected as error:
                if not left:
                    digest = sha256(await asyncio.to_thread(fetched.read_bytes)).hexdigest()
                    # Not ProofRejected: what is wrong is the delivery, and another prover may well have the proof.
                    raise ProverCrashed(
                        f"the proof that the network serves is unusable (SHA-256 {digest}): {error}",
                        action="it is fetched again, not paid for again",
                    ) from error
                await asyncio.sleep(self._open().settings.poll_s)
                continue
            for name in (checking.VK_RAW, checking.VK):
                files[name] = Path(await asyncio.to_thread(shutil.copyfile, program.vk, into / name))
            return files
        raise AssertionError("unreachable")

    async def _compressed(
        self, fetched: Path, statement: Statement, into: Path, public: bytes
    ) -> dict[str, Path]:
        data = await asyncio.to_thread(checking.read, fetched, bundle.LARGEST)
        self._checker.claims(statement, bundle.read(data, bundle.COMPRESSED).public)
        return {checking.COMPRESSED: await asyncio.to_thread(fetched.rename, into / checking.COMPRESSED)}

    async def _groth16(
        self, fetched: Path, statement: Statement, into: Path, public: bytes
    ) -> dict[str, Path]:
        found = bundle.read(checking.read(fetched, checking.LARGEST[checking.GROTH16]), bundle.GROTH16)
        if public and found.public != public:
            raise ProofRejected("the Groth16 proof and the compressed one have different public values")
        files = {checking.ONCHAIN: into / checking.ONCHAIN, checking.PUBLIC: into / checking.PUBLIC}
        files[checking.ONCHAIN].write_bytes(found.onchain)
        files[checking.PUBLIC].write_bytes(found.public)
        await self._checker.final(statement, files)
        return {**files, checking.GROTH16: await asyncio.to_thread(fetched.rename, into / checking.GROTH16)}

    def _open(self) -> _Open:
        if self._opened is None:
            key = private_key(self._env)
            if key is None:
                raise ConfigurationError(
                    "there is no account to pay the prover network with",
                    action="set SP1_PRIVATE_KEY, SP1_PRIVATE_KEY_FILE or the secret sp1_private_key",
                )
            settings = Settings.read(self._env)
            client = NetworkClient(settings, Signer(key))
            requests = Requests(client, self._ledger, settings)
            inputs = Inputs(client, requests.turn, self._env.get("PROVERY_SP1_STDIN_COMMAND", ""))
            self._opened = _Open(settings, client, requests, inputs)
        return self._opened


def cap_of(statement: Statement) -> Decimal | None:
    """What the statement's stream lets one proof cost, in PROVE; None where it does not say.

    Raises:
        InvalidInput: it says something else than an amount.
    """
    text = statement.params.get("spending_cap")
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise InvalidInput(
            "the statement's spending cap is no amount", value=text, expected="PROVE, 0 or more"
        )
    return found


async def _within(seconds: float, work: Awaitable[None]) -> None:
    """Do something about a cancelled call, but not for long, and nothing about its failure."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except (TimeoutError, ProveryError, Refused) as error:
        _log.info("a request to the prover network is left as it is: %s", error)
