"""Any program with the contract of ``run_zk_proof.sh`` as a prover.

It is started as the daemon did it: ``PROGRAM --period N [--prev-period P] --prove --groth16 --network --output DIR``.
``DIR/N/sync.ssz`` is there, and ``DIR/P/zk_proof.bin`` and ``zk_vk_raw.bin`` where there is a proof to continue. With
status 0 it has written its files to ``DIR/N``.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from provery.core.errors import ConfigurationError, ProofRejected, ProverCrashed
from provery.core.ports import Progress, Proof, Statement
from provery.provers import process
from provery.provers.sp1 import bundle, checking
from provery.provers.sp1.checking import Checker
from provery.provers.sp1.secret import private_key

_GIVEN = ("ELF", "HOST_BINARY", "PROVER_RPC_URL", "REMOTE_URL", "REPO_ROOT", "RPC_URL", "RUST_LOG")
_PREFIXES = ("SP1_", "NETWORK_PRIVATE_KEY")
"""Variables that the program is given of the worker's environment, beside what every child is given."""


class Command:
    """The program of ``PROVERY_COMMAND_PROVER``.

    Args:
        env: ``PROVERY_COMMAND_PROVER`` is the program, with fixed arguments where it has any; ``PROVERY_COMMAND_DIR``
            its working directory; ``PROVERY_COMMAND_ENV`` names further variables that it is given.
        home: Working directory of the installation, where ``provery-prover`` is looked for; by default the
            environment's.
    """

    name = "command"
    compresses = False

    def __init__(self, env: Mapping[str, str], home: Path | None = None) -> None:
        self._env = env
        self._checker = Checker(env, home)

    async def verifying_key(self, circuit: str) -> str:
        """See :meth:`provery.core.ports.StatementProver.verifying_key`; the same for every circuit."""
        return self._checker.verifying_key()

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        """Run the program and check all that it wrote.

        Raises:
            ConfigurationError: there is no program.
            InvalidKey: its proofs could not be checked with the key that the plan pins.
            ProverCrashed: it failed, or did not write its files.
            ProofRejected: it wrote something else than a proof of the statement.
        """
        private_key(self._env)  # so that it is hidden in what the program says, wherever it comes from
        argv, period = self._argv(), checking.period_of(statement)
        checking.sync_of(statement)
        checking.previous_key(statement)
        self._checker.ready(statement)
        store = into / "period_store"
        await asyncio.to_thread(_lay_out, statement, store, period)
        arguments = ["--period", str(period)]
        if checking.PREVIOUS_PROOF in statement.files:
            arguments += ["--prev-period", str(period - 1)]
        arguments += ["--prove", "--groth16", "--network", "--output", str(store)]
        folder = self._env.get("PROVERY_COMMAND_DIR")
        done = await process.run(
            process.Command(
                "the proving command",
                (*argv, *arguments),
                env=self._environment(statement),
                cwd=Path(folder) if folder else None,
            ),
            progress=progress,
        )
        files = await asyncio.to_thread(self._collect, statement, store / str(period), into)
        facts = await self._checker.final(statement, files)
        return Proof(files, facts, done.usage)

    async def compress(
        self, statement: Statement, proof: Mapping[str, Path], into: Path, progress: Progress
    ) -> Proof:
        """Nothing is left to do: the program does both steps."""
        return Proof(proof)

    async def verify(self, statement: Statement, proof: Mapping[str, Path]) -> Mapping[str, str]:
        """See :meth:`provery.core.ports.StatementProver.verify`."""
        return await self._checker.accepted(statement, proof)

    async def close(self) -> None:
        """Nothing is kept between calls."""

    def _argv(self) -> list[str]:
        try:
            argv = shlex.split(self._env.get("PROVERY_COMMAND_PROVER", ""))
        except ValueError:
            argv = []
        if not argv:
            raise ConfigurationError(
                "no proving command is configured",
                value=self._env.get("PROVERY_COMMAND_PROVER", ""),
                expected="a program, with its fixed arguments quoted as for a shell",
                action="set PROVERY_COMMAND_PROVER",
            )
        return argv

    def _environment(self, statement: Statement) -> dict[str, str]:
        """Keys go this way and no other: a command line can be read by everybody on the machine.

        CHAIN is the statement's: the worker's own may be of another stream, or of none.
        """
        named = {*_GIVEN, *self._env.get("PROVERY_COMMAND_ENV", "").replace(",", " ").split()}
        given = {
            name: value for name, value in self._env.items() if name in named or name.startswith(_PREFIXES)
        }
        return given | {"CHAIN": statement.params["chain"]}

    def _collect(self, statement: Statement, folder: Path, into: Path) -> dict[str, Path]:
        """Move the outputs to ``into``, each a plain file of sound size that agrees with the others."""
        files: dict[str, Path] = {}
        for name, limit in checking.LARGEST.items():
            made = folder / name
            if made.is_symlink() or made.exists():
                checking.read(made, limit)
                files[name] = made.rename(into / name)
            elif name in (checking.ONCHAIN, checking.PUBLIC):
                raise ProverCrashed(
                    f"the proving command ended well and did not write {name}",
                    expected=f"{statement.params['period']}/{name} under --output",
                )
        public = checking.read(files[checking.PUBLIC], 4_096)
        for name, tag in ((checking.COMPRESSED, bundle.COMPRESSED), (checking.GROTH16, bundle.GROTH16)):
            if name in files:
                said = bundle.read(checking.read(files[name], bundle.LARGEST), tag)
                if said.public != public:
                    raise ProofRejected(f"{name} and {checking.PUBLIC} have different public values")
        return files


def _lay_out(statement: Statement, store: Path, period: int) -> None:
    """The folders that the program expects; whatever a killed attempt left there goes first."""
    shutil.rmtree(store, ignore_errors=True)
    (store / str(period)).mkdir(parents=True)
    shutil.copyfile(statement.files[checking.SYNC], store / str(period) / checking.SYNC)
    if checking.PREVIOUS_PROOF in statement.files:
        before = store / str(period - 1)
        before.mkdir()
        shutil.copyfile(statement.files[checking.PREVIOUS_PROOF], before / checking.COMPRESSED)
        shutil.copyfile(statement.files[checking.PREVIOUS_VK], before / checking.VK_RAW)
