"""Drop from an npm lock the optional dependencies that have no package entry.

A lock made where the registry view lacks the binaries of other platforms names packages that it does not
describe, and `npm ci` refuses such a lock. Run by `make lock`, after npm has written the lock.
"""

import json
import sys
from pathlib import Path


def trim(lock: dict[str, dict[str, dict[str, dict[str, str]]]]) -> list[str]:
    """Remove undescribed optional dependencies in place and return their names."""
    packages = lock["packages"]
    dropped = []
    for where, package in packages.items():
        optional = package.get("optionalDependencies", {})
        for name in list(optional):
            if f"node_modules/{name}" in packages or f"{where}/node_modules/{name}" in packages:
                continue
            del optional[name]
            dropped.append(name)
    return dropped


if __name__ == "__main__":
    path = Path(sys.argv[1])
    content = json.loads(path.read_text())
    for name in trim(content):
        print(f"dropped {name}: the lock does not describe it")
    path.write_text(json.dumps(content, indent=2) + "\n")
