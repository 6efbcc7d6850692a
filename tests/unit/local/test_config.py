"""temporal-dev.yaml: what is accepted, and that each mistake is named with line, key and remedy."""

from pathlib import Path

import pytest

from provery.client import SEARCH_ATTRIBUTES
from provery.core.errors import ConfigurationError
from provery.core.queues import QUEUES
from provery.local.config import DEFAULT_FILE, check, dynamic_config_keys, load_topology

GOOD = DEFAULT_FILE.read_text()


@pytest.fixture
def edit(tmp_path: Path):  # type: ignore[no-untyped-def] # a factory of files
    def write(old: str = "", new: str = "", text: str = "") -> Path:
        assert old in GOOD, f"{old!r} is no longer in temporal-dev.yaml"
        path = tmp_path / "temporal-dev.yaml"
        path.write_text(text or GOOD.replace(old, new, 1))
        return path

    return write


def line_of(path: Path, text: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_shipped_file_is_valid() -> None:
    assert check() == []
    topology = load_topology()
    assert topology.home_path == DEFAULT_FILE.parent / ".provery"
    assert set(topology.queues) == set(QUEUES)


def test_the_shipped_file_registers_the_search_attributes_that_workflows_set() -> None:
    assert load_topology().server.search_attributes == dict(SEARCH_ATTRIBUTES)


MISTAKES = [
    # old, new, text of the line blamed, key, words of the message
    ("port: 7233", "port: 70000", "port: 70000", "server.port", ["'70000'", "65535"]),
    ("port: 7233", "port: '7233'", "port: '7233'", "server.port", ["integer"]),
    ("ui_port:", "uiport:", "uiport:", "server.uiport", ["unknown key", "did you mean ui_port?"]),
    ("server: #", "servers: #", "servers:", "servers", ["unknown key", "did you mean server?"]),
    ("io: { workers", "io: { workerz", "workerz", "queues.io.workerz", ["did you mean workers?"]),
    ("slots: 64 }", "slots: 0 }", "slots: 0", "queues.io.slots", ["greater than or equal to 1"]),
    ("Ordinal: Int", "Ordinal: Integer", "Integer", "server.search_attributes.ProveryOrdinal", ["'Keyword'"]),
    (
        "matching.enableFairness:",
        "matching.enableFairnes:",
        "Fairnes:",
        "server.dynamic_config.matching.enableFairnes",
        ["would ignore it", "did you mean matching.enableFairness?"],
    ),
    (
        "transferProcessorMaxPollRPS: 5000",
        "transferProcessorMaxPollRPS: fast",
        ": fast",
        "server.dynamic_config.history.transferProcessorMaxPollRPS",
        ["'fast'", "a whole number"],
    ),
    (
        "journal_mode",
        "journal_mod",
        "journal_mod:",
        "server.sqlite_pragmas.journal_mod",
        ["did you mean journal_mode"],
    ),
    (
        "ingress_port: 3101",
        "ingress_port: 8233",
        "ingress_port",
        "streams[0].ingress_port",
        ["server.ui_port"],
    ),
    ("metrics_port: 9101", "metrics_port: 65535", "metrics_port", "metrics_port", ["65536", "at most 65535"]),
    ("engine: sqlite", "engine: mysql", "mysql", "ledger.engine", ["'sqlite'", "'postgres'"]),
    ("engine: sqlite", "engine: external", "external (see", "ledger.engine", ["url"]),
    ("QUEUE_NAME: prove", "queue name: x", "queue name", "streams[0].settings.queue name", ["pattern"]),
    ("  orchestrate: {", "  orchestrated: {", "queues:", "queues", ["no orchestrate"]),
    (
        "schedules: []",
        "schedules: [{stream: a/b, interval: 5m}]",
        "schedules:",
        "schedules[0].stream",
        ["queue/prove"],
    ),
    (
        "schedules: []",
        "schedules:\n  - stream: queue/prove\n    interval: 5 parsecs",
        "parsecs",
        "schedules[0].interval",
        ["a duration such as"],
    ),
    (
        "schedules: []",
        "schedules:\n  - stream: queue/prove",
        "- stream: queue",
        "schedules[0]",
        ["interval or cron"],
    ),
    (
        "schedules: []",
        "schedules:\n  - stream: queue/prove\n    cron: '* *'",
        "cron:",
        "schedules[0].cron",
        ["5 fields"],
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "blamed", "key", "words"), MISTAKES, ids=[m[3] + ":" + m[1][:20] for m in MISTAKES]
)
def test_a_mistake_is_named(edit, old: str, new: str, blamed: str, key: str, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    path = edit(old, new)
    problems = check(path)
    found = [problem for problem in problems if problem.key == key]
    assert len(found) == 1, [str(p) for p in problems]
    assert found[0].line == line_of(path, blamed)
    assert str(found[0]).startswith(f"temporal-dev.yaml:{found[0].line}: {key}: ")
    for word in words:
        assert word in found[0].message
    with pytest.raises(ConfigurationError, match=r"temporal-dev\.yaml:"):
        load_topology(path)


def test_every_mistake_is_reported_at_once(edit) -> None:  # type: ignore[no-untyped-def]
    text = (
        GOOD.replace("port: 7233", "port: x")
        .replace("engine: file", "engine: tape")
        .replace("slots: 2 }", "slot: 2 }")
    )
    text = text.replace("enableFairness", "enableFarness")
    keys = [problem.key for problem in check(edit(text=text))]
    assert keys == [
        "server.port",
        "server.dynamic_config.matching.enableFarness",
        "artifacts.engine",
        "queues.cpu.slot",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\nb: 2", "not YAML"),
        ("queues: {}\nqueues: {}", "duplicate key"),
        ("- 1", "expected a mapping"),
        ("queues: {orchestrate: {}}\nbase: /etc", "unknown key"),
        ("a: !!python/object/apply:os.system [true]", "unknown key"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_no_topology_is_refused(edit, text: str, words: str) -> None:  # type: ignore[no-untyped-def]
    problems = check(edit(text=text))
    assert any(words in str(problem) for problem in problems), problems


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in str(check(tmp_path / "none.yaml")[0])
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(check(binary)[0])
    binary.write_bytes(b"#" * 1_000_001)
    assert "larger than" in str(check(binary)[0])


def test_dynamic_config_keys_are_those_of_the_pinned_server() -> None:
    keys = dynamic_config_keys()
    assert len(keys) > 500
    assert keys["history.transferProcessorMaxPollRPS"] == "int"
    assert keys["frontend.WorkflowTimeSkippingEnabled"] == "bool"
