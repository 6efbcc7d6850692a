"""The key that signs requests to the network: where it is looked for, and that nothing ever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provery.core.errors import ConfigurationError
from provery.core.redact import redactor

SECRETS = Path("/run/secrets")
"""Where container engines mount secrets."""
_HOW = "set SP1_PRIVATE_KEY, SP1_PRIVATE_KEY_FILE or the secret sp1_private_key"


def private_key(env: Mapping[str, str], *, secrets: Path = SECRETS) -> bytes | None:
    """The key, 32 bytes, or None where there is none. Its text is taught to the redactor before anything else.

    Args:
        env: ``SP1_PRIVATE_KEY``, ``NETWORK_PRIVATE_KEY``, then the files that ``SP1_PRIVATE_KEY_FILE`` and
            ``NETWORK_PRIVATE_KEY_FILE`` name.
        secrets: Last, files ``sp1_private_key`` and ``network_private_key`` of this folder.

    Raises:
        ConfigurationError: a file cannot be read, or what is there is no key; the message never holds it.
    """
    for text, source in _candidates(env, secrets):
        bare = text.removeprefix("0x").removeprefix("0X")
        redactor.learn_values({text, bare, bare.lower(), bare.upper()})
        try:
            key = bytes.fromhex(bare)
        except ValueError:
            key = b""
        if len(key) != 32 or not any(key):
            raise ConfigurationError(
                f"{source} holds no private key", expected="32 bytes in hexadecimal", action=_HOW
            )
        return key
    return None


def _candidates(env: Mapping[str, str], secrets: Path) -> list[tuple[str, str]]:
    """Texts that are to be a key, with their sources; empty ones count as not set."""
    found = [
        (env.get("SP1_PRIVATE_KEY", ""), "SP1_PRIVATE_KEY"),
        (env.get("NETWORK_PRIVATE_KEY", ""), "NETWORK_PRIVATE_KEY"),
    ]
    for name, path in (
        ("SP1_PRIVATE_KEY_FILE", env.get("SP1_PRIVATE_KEY_FILE", "")),
        ("NETWORK_PRIVATE_KEY_FILE", env.get("NETWORK_PRIVATE_KEY_FILE", "")),
    ):
        if path:
            try:
                found.append((Path(path).read_text().strip(), name))
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"the file of {name} cannot be read ({type(error).__name__})", value=path, action=_HOW
                ) from None
    for name in ("sp1_private_key", "network_private_key"):
        try:
            found.append(((secrets / name).read_text().strip(), f"the secret {name}"))
        except (OSError, UnicodeDecodeError):
            continue
    return [(text.strip(), source) for text, source in found if text.strip()]
