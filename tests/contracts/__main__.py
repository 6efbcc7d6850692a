"""``make fuzz-contracts``: many random sequences, and every fault; writes ``bench/results/contracts.json``."""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import subprocess
import sys

from bench.results import RESULTS
from tests.contracts.replay import FAULTS, replay


def main() -> int:
    """Replay; the exit status says whether contract and model agree and every fault was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="drawn without")
    given = parser.parse_args()
    print(f"{given.sequences} sequences of seed {given.seed}", flush=True)
    whole = replay(given.sequences, given.seed)
    drawn = whole.drawn
    print(
        f"agreed: {whole.agreed}, {drawn.steps} calls, {drawn.switches} changes of the stake table",
        flush=True,
    )
    if not whole.agreed:
        print(whole.said[-4000:])
    missed = []
    for fault in FAULTS:
        found = not replay(400, given.seed, fault=fault).agreed
        print(f"fault {fault.name!r}: {'found' if found else 'MISSED'}", flush=True)
        missed += [] if found else [fault.name]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    summary = {
        "contract": "provery/systems/hotshot/contract/LightClient.sol",
        "seed": given.seed,
        "sequences": drawn.sequences,
        "calls": drawn.steps,
        "agreed": whole.agreed,
        "answers": {name or "taken": count for name, count in sorted(drawn.answers.items())},
        "stake_table_changes": drawn.switches,
        "most_changes_in_one_sequence": drawn.longest,
        "faults": len(FAULTS),
        "faults_missed": missed,
        "cpu_s": round(sum(one.ru_utime + one.ru_stime for one in used), 1),
        "taken_on": f"commit {commit.stdout.strip()}",
    }
    (RESULTS / "contracts.json").write_text(json.dumps(summary, indent=1) + "\n")
    return 0 if whole.agreed and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
