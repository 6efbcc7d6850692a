#!/usr/bin/env python3
"""Compare the processor time of Groth16 provers on the same keys and witnesses.

Needs Python 3.11, Node, the built provery-prover, and a node_modules folder with snarkjs, circom2, circomlib
and circomlibjs; rapidsnark-prove (bench/groth16/rapidsnark) is optional. Circuits, keys and witnesses are made
once and kept in the work folder. Each round runs all provers one after another; a figure is the median over
rounds of the ratio within a round.

    python3 bench/groth16/compare.py --prover BIN --node-modules DIR --work DIR [--rapidsnark BIN] [--out FILE]

Processor time is user plus system: of the whole process for snarkjs, which has no resident mode on the
command line, and per proof of the resident process, key loaded, for the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MEMBERSHIP = HERE.parents[1] / "provery/systems/queue/circuit/membership.circom"
"""Merkle membership at depth 4, as the job queue proves it."""


@dataclass(frozen=True)
class Circuit:
    """One circuit to compare on."""

    name: str
    """Suffix of the reported figure."""
    kind: str
    """membership or signatures, as inputs.cjs knows them."""
    count: int
    """Levels or signatures."""
    proofs_per_round: int
    """Proofs a resident prover makes per round, of which the mean is taken."""


CIRCUITS = (
    Circuit("1k", "membership", 4, 10),
    Circuit("70k", "signatures", 9, 2),
    Circuit("250k", "signatures", 32, 1),
)


class Tools:
    """Where the programs are."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.node = shutil.which("node") or "node"
        self.modules = Path(arguments.node_modules).resolve()
        self.prover = Path(arguments.prover).resolve()
        self.rapidsnark = Path(arguments.rapidsnark).resolve() if arguments.rapidsnark else None
        self.work = Path(arguments.work).resolve()

    def snarkjs(self, *words: str | Path) -> list[str]:
        """Command line of snarkjs."""
        return [self.node, str(self.modules / "snarkjs/build/cli.cjs"), *map(str, words)]


def run(command: list[str], folder: Path) -> float:
    """Run a command and return its processor seconds, user and system, children included."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(
            f"{' '.join(command)} failed ({process.returncode}):\n{output.decode(errors='replace')[-2000:]}"
        )
    return usage.ru_utime + usage.ru_stime


class Resident:
    """A prover that speaks JSON lines."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.count = 0
        self.read()

    def read(self) -> dict[str, Any]:
        """One line of the child."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a resident prover ended unexpectedly")
        return json.loads(line)

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and return its result."""
        self.count += 1
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": str(self.count), **request}) + "\n")
        self.process.stdin.flush()
        while "progress" in (reply := self.read()):
            pass
        if not reply["ok"]:
            raise SystemExit(f"a resident prover failed: {reply}")
        return reply["result"]

    def prove(self, key: Path, witness: Path, folder: Path, name: str, count: int) -> dict[str, Any]:
        """Make count proofs and return seconds per proof."""
        items = [
            {
                "wtns": str(witness),
                "proof": str(folder / f"{name}.{i}.proof.json"),
                "public": str(folder / f"{name}.{i}.public.json"),
            }
            for i in range(count)
        ]
        start = time.monotonic()
        result = self.ask(op="prove", zkey=str(key), items=items)
        wall = time.monotonic() - start
        for item in result["items"]:
            if not item["ok"]:
                raise SystemExit(f"{name}: {item}")
        return {
            "cpu_s": result["cpu_s"] / count,
            "wall_s": wall / count,
            "peak_rss_bytes": result["peak_rss_bytes"],
        }

    def close(self) -> None:
        """End the child."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def prepare(tools: Tools, circuit: Circuit) -> Path:
    """Compile, set up and compute the witness, unless done before; return the circuit's folder."""
    folder = tools.work / circuit.name
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # circom2 finds includes only below the folder it runs in and its parents
    if circuit.kind == "signatures":
        source = (HERE / "circuits/signatures.circom").read_text()
        source += f"component main {{public [message, keyX, keyY]}} = Signatures({circuit.count});\n"
    else:
        source = MEMBERSHIP.read_text()
    (folder / "circuit.circom").write_text(source)
    command = [tools.node, str(tools.modules / "circom2/cli.js"), str(folder / "circuit.circom")]
    # the signatures keep their linear constraints, as circom does by default; without them (O2) the
    # membership circuit has the thousand constraints that its figure is named for
    level = "--O2" if circuit.kind == "membership" else "--O1"
    run(
        [*command, level, "--r1cs", "--wasm", "-l", tools.modules.name, "-o", str(folder)],
        tools.modules.parent,
    )
    run(
        [
            tools.node,
            str(HERE / "inputs.cjs"),
            str(tools.modules),
            circuit.kind,
            str(circuit.count),
            "input.json",
        ],
        folder,
    )
    prover = str(tools.prover)
    run([prover, "zkey", "setup", "--r1cs", "circuit.r1cs", "--out", "circuit.zkey"], folder)
    run([prover, "zkey", "export-vkey", "circuit.zkey", "--out", "vkey.json"], folder)
    run(
        [
            prover,
            "witness",
            "--wasm",
            "circuit_js/circuit.wasm",
            "--input",
            "input.json",
            "--out",
            "circuit.wtns",
        ],
        folder,
    )
    (folder / "done").touch()
    return folder


def measure(tools: Tools, circuit: Circuit, rounds: int) -> dict[str, Any]:
    """Run all provers for some rounds and return the raw figures."""
    folder = prepare(tools, circuit)
    key, witness = folder / "circuit.zkey", folder / "circuit.wtns"
    ours = Resident([str(tools.prover), "serve"])
    loaded = ours.ask(op="load", zkey=str(key), widen=True)
    ours.prove(key, witness, folder, "provery", 1)
    rapid = None
    if tools.rapidsnark:
        rapid = Resident([str(tools.rapidsnark), "serve"])
        rapid.prove(key, witness, folder, "rapidsnark", 1)
    table: list[dict] = []
    for _ in range(rounds):
        row = {"provery": ours.prove(key, witness, folder, "provery", circuit.proofs_per_round)}
        start = time.monotonic()
        cpu = run(
            tools.snarkjs("groth16", "prove", key, witness, "snarkjs.proof.json", "snarkjs.public.json"),
            folder,
        )
        row["snarkjs"] = {"cpu_s": cpu, "wall_s": time.monotonic() - start}
        if rapid:
            row["rapidsnark"] = rapid.prove(key, witness, folder, "rapidsnark", circuit.proofs_per_round)
        table.append(row)
        print(
            circuit.name, {name: round(figures["cpu_s"], 4) for name, figures in row.items()}, file=sys.stderr
        )
    for proof in folder.glob("*.proof.json"):
        public = proof.with_name(proof.name.replace(".proof.", ".public."))
        run(
            [
                str(tools.prover),
                "verify",
                "--vkey",
                "vkey.json",
                "--public",
                str(public),
                "--proof",
                str(proof),
            ],
            folder,
        )
    run(
        tools.snarkjs("groth16", "verify", "vkey.json", "provery.0.public.json", "provery.0.proof.json"),
        folder,
    )
    ours.close()
    if rapid:
        rapid.close()
    detail = {name: loaded["key"][name] for name in ("n_vars", "n_public", "domain_size", "coefficients")}
    detail.update(key_memory_bytes=loaded["key_memory_bytes"], load_cpu_s=loaded["cpu_s"], rounds=table)
    return detail


def ratio(detail: dict[str, Any], other: str) -> dict[str, Any]:
    """Median of the paired ratios, with every round."""
    values = [row[other]["cpu_s"] / row["provery"]["cpu_s"] for row in detail["rounds"]]
    return {
        "value": round(statistics.median(values), 3),
        "unit": f"{other} CPU seconds per provery-prover CPU second",
        "detail": {"ratios": [round(v, 3) for v in values], **detail},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    env = os.environ.get
    parser.add_argument("--prover", default=env("PROVERY_PROVER"), help="provery-prover (or PROVERY_PROVER)")
    parser.add_argument(
        "--node-modules",
        default=env("PROVERY_NODE_MODULES"),
        help="folder with snarkjs and circom2 (or PROVERY_NODE_MODULES)",
    )
    parser.add_argument(
        "--rapidsnark", default=env("PROVERY_RAPIDSNARK"), help="rapidsnark-prove (or PROVERY_RAPIDSNARK)"
    )
    parser.add_argument(
        "--work",
        default=env("PROVERY_BENCH_WORK"),
        help="folder for circuits and keys (or PROVERY_BENCH_WORK)",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", choices=[c.name for c in CIRCUITS], action="append", help="only this circuit; repeatable"
    )
    parser.add_argument("--out", help="file for the figures; standard output without it")
    arguments = parser.parse_args()
    for name in ("prover", "node_modules", "work"):
        if not getattr(arguments, name):
            parser.error(f"--{name.replace('_', '-')} is required")
    tools = Tools(arguments)
    figures: dict[str, object] = {}
    for circuit in CIRCUITS:
        if arguments.only and circuit.name not in arguments.only:
            continue
        detail = measure(tools, circuit, arguments.rounds)
        detail["machine"] = {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()}
        figures[f"groth16_cpu_ratio_{circuit.name}"] = ratio(detail, "snarkjs")
        if tools.rapidsnark and circuit.name == "70k":
            figures["groth16_cpu_ratio_rapidsnark_70k"] = ratio(detail, "rapidsnark")
    text = json.dumps(figures, indent=1)
    if arguments.out:
        Path(arguments.out).write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
