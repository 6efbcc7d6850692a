"""What the network has to have before a request: the program, and its input."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import grpc

from provery.core.errors import (
    ConfigurationError,
    InvalidKey,
    ProofRejected,
    ProverCrashed,
    ProverUnavailable,
)
from provery.core.ports import Progress, Statement
from provery.provers import process
from provery.provers.sp1 import bundle, checking
from provery.provers.sp1.client import NETWORK, Lost, NetworkClient, Refused, refused
from provery.provers.sp1.proto import artifact_pb2, types_pb2
from provery.provers.sp1.settings import Program

STDIN = "stdin.bin"
"""The program's input in bincode, where the system brings it itself."""
_LARGEST_STDIN = 512 * 2**20
_LARGEST_ELF = 256 * 2**20


class Inputs:
    """Registers the program and stores its inputs.

    Args:
        client: The network.
        turn: Held while a nonce is in use.
        command: Program, with fixed arguments, that makes SP1's input of ``sync.ssz``.
    """

    def __init__(self, client: NetworkClient, turn: asyncio.Lock, command: str) -> None:
        self._client = client
        self._turn = turn
        self._command = command
        self._registered = False

    async def upload(self, statement: Statement, program: Program, into: Path, progress: Progress) -> str:
        """Register the program if need be, and store its input."""
        await self._register(program)
        data = await self._stdin(statement, into, progress)
        progress("storing the input", 0, 1)
        return await self._client.upload(artifact_pb2.STDIN, data)

    async def _stdin(self, statement: Statement, into: Path, progress: Progress) -> bytes:
        """The program's input in bincode: of the statement, or from the helper."""
        if STDIN in statement.files:
            return await asyncio.to_thread(checking.read, statement.files[STDIN], _LARGEST_STDIN)
        try:
            argv = shlex.split(self._command)
        except ValueError:
            argv = []
        if not argv:
            raise ConfigurationError(
                "nothing makes the program's input",
                value=self._command,
                expected="a program that turns sync.ssz into SP1's stdin",
                action="set PROVERY_SP1_STDIN_COMMAND",
            )
        out = into / STDIN
        argv += ["--input-file", str(statement.files[checking.SYNC]), "--output", str(out)]
        if checking.PREVIOUS_PROOF in statement.files:
            argv += ["--prev-proof", str(statement.files[checking.PREVIOUS_PROOF])]
            argv += ["--prev-vk", str(checking.previous_key(statement))]
        await process.run(process.Command("the stdin command", tuple(argv)), progress=progress)
        try:
            return await asyncio.to_thread(checking.read, out, _LARGEST_STDIN)
        except ProofRejected as error:
            raise ProverCrashed(f"the stdin command wrote no input: {error}", expected=str(out)) from error

    async def _register(self, program: Program) -> None:
        """Make the program known to the network, once."""
        if self._registered:
            return
        try:
            if not await self._client.program_known(program.vk_hash):
                await self._create(program)
        except Refused as error:
            raise refused("register a program for", error) from error
        self._registered = True

    async def _create(self, program: Program) -> None:
        client = self._client
        if program.elf is None:
            raise InvalidKey(
                "the prover network does not know the program",
                value=program.vk_hash.hex(),
                action="set PROVERY_SP1_ELF to the program's ELF, or check PROVERY_SP1_VK_HASH",
            )
        try:
            elf = await asyncio.to_thread(checking.read, program.elf, _LARGEST_ELF)
            vk = await asyncio.to_thread(checking.read, program.vk, checking.LARGEST[checking.VK])
        except ProofRejected as error:
            raise InvalidKey(f"a file of the program is unusable: {error}") from error
        uri = await client.upload(artifact_pb2.PROGRAM, bundle.bytes_in_bincode(elf))
        async with self._turn:
            body = types_pb2.CreateProgramRequestBody(
                nonce=await client.nonce(),
                vk_hash=program.vk_hash,
                vk=vk,
                program_uri=uri,
            )
            asked = types_pb2.CreateProgramRequest(
                format=types_pb2.BINARY,
                signature=client.signer.sign(body.SerializeToString(deterministic=True)),
                body=body,
            )
            try:
                await client.once(NETWORK + "CreateProgram", asked, types_pb2.CreateProgramResponse)
            except (Lost, Refused) as error:
                if await client.program_known(program.vk_hash):  # by us after all, or by another worker
                    return
                if isinstance(error, Refused) and error.code is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                raise ProverUnavailable(f"the program could not be registered: {error}") from error
