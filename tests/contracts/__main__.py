"""``make fuzz-contracts``: many random sequences, and every fault; writes ``bench/results/contracts*.json``."""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable

from bench.results import RESULTS
from provery.local import ROOT
from tests.contracts import registry, sequences
from tests.contracts.replay import LIGHT_CLIENT, REGISTRY, D, Subject, replay


def main() -> int:
    """Replay; the exit status says whether contracts and models agree and every fault was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="drawn without")
    parser.add_argument("--system", choices=("hotshot", "zkml"), help="only this system's contract")
    given = parser.parse_args()
    done = []
    if given.system != "zkml":
        done.append(fuzz(LIGHT_CLIENT, given.sequences, given.seed, _light_client, "contracts.json"))
    if given.system != "hotshot":
        done.append(fuzz(REGISTRY, given.sequences, given.seed, _registry, "contracts-zkml.json"))
    return 0 if all(done) else 1


def _light_client(drawn: sequences.Drawn) -> dict[str, int]:
    return {"stake_table_changes": drawn.switches, "most_changes_in_one_sequence": drawn.longest}


def _registry(drawn: registry.Drawn) -> dict[str, int]:
    return {"inferences_attested": drawn.inferences}


def fuzz(
    subject: Subject[D], count: int, seed: int, more: Callable[[D], dict[str, int]], result: str
) -> bool:
    """Replay one contract's sequences and its faults.

    Args:
        subject: The contract.
        count: How many sequences.
        seed: What they depend on.
        more: What is told of them beside answers.
        result: File under ``bench/results``.

    Returns:
        Whether contract and model agree and every fault was found.
    """
    print(f"{subject.contract}: {count} sequences of seed {seed}", flush=True)
    before = _cpu_s()
    whole = replay(subject, count, seed)
    drawn = whole.drawn
    told = more(drawn)
    said = ", ".join(f"{name} {value}" for name, value in told.items())
    print(f"agreed: {whole.agreed}, {drawn.steps} calls, {said}", flush=True)
    if not whole.agreed:
        print(whole.said[-4000:])
    missed = []
    for fault in subject.faults:
        found = not replay(subject, 400, seed, fault=fault).agreed
        print(f"fault {fault.name!r}: {'found' if found else 'MISSED'}", flush=True)
        missed += [] if found else [fault.name]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    summary = {
        "contract": str((subject.sources / subject.contract).relative_to(ROOT)),
        "seed": seed,
        "sequences": drawn.sequences,
        "calls": drawn.steps,
        "agreed": whole.agreed,
        "answers": {name or "taken": count for name, count in sorted(drawn.answers.items())},
        **told,
        "faults": len(subject.faults),
        "faults_missed": missed,
        "cpu_s": round(_cpu_s() - before, 1),
        "taken_on": f"commit {commit.stdout.strip()}",
    }
    (RESULTS / result).write_text(json.dumps(summary, indent=1) + "\n")
    return whole.agreed and not missed


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
