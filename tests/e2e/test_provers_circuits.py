"""The circuit registry on real stores with the real compiler, set-up and ceremony tools, on a tiny circuit."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from provery.core.errors import InvalidInput, InvalidKey, ProveryError, UnknownCircuit
from provery.core.ports import ProveItem, VerifyItem, WitnessItem
from provery.core.types import Json
from provery.provers import build_provers
from provery.provers.process import Command, run
from provery.provers.tools import Tools
from tests.e2e.provers_support import HOME, membership, registry

LIBRARY = """
pragma circom 2.1.9;
template Square() { signal input a; signal output b; b <== a * a; }
"""
TINY = """
pragma circom 2.1.9;
// include "not/there.circom";
include "lib/square.circom"; /* include "nor/this.circom"; */
include "circomlib/circuits/comparators.circom";
template Tiny() {
    signal input shown; signal input hidden[2]; signal input grid[2][3]; signal output out;
    component square = Square(); square.a <== hidden[0] + grid[1][2];
    component same = IsEqual(); same.in[0] <== hidden[1]; same.in[1] <== shown;
    same.out === 1;
    out <== square.b * hidden[1];
}
component main {public [shown]} = Tiny();
"""
INPUTS: dict[str, Json] = {"shown": "5", "hidden": ["3", "5"], "grid": [["0", "0", "0"], ["0", "0", "1"]]}


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


def write_source(folder: Path, text: str = TINY) -> Path:
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    (folder / "lib" / "square.circom").write_text(LIBRARY)
    source = folder / "tiny.circom"
    source.write_text(text)
    return source


@dataclass
class Files:
    r1cs: Path
    wasm: Path
    sym: Path
    ptau: Path
    ceremony: Path
    """A key with one contribution."""
    bare: Path
    """A key that nobody has contributed to."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files of a ceremony, made with snarkjs."""
    folder = tmp_path_factory.mktemp("ceremony")
    write_source(folder)
    tools = Tools.find(os.environ, HOME)

    async def node(*argv: str) -> None:
        await run(Command("node", (str(tools.node), *argv), cwd=folder))

    async def work() -> None:
        from provery.provers.compiler import compile_source, gather

        (folder / "c").mkdir()
        compiled = await compile_source(gather(folder / "tiny.circom", tools.modules), tools, folder / "c")
        for path in (compiled.r1cs, compiled.wasm, compiled.sym):
            path.rename(folder / path.name)
        cli = str(tools.modules / "snarkjs" / "build" / "cli.cjs")
        await node(cli, "powersoftau", "new", "bn128", "5", "0.ptau")
        await node(cli, "powersoftau", "contribute", "0.ptau", "1.ptau", "--name=one", "-e=a")
        await node(cli, "powersoftau", "prepare", "phase2", "1.ptau", "tau.ptau")
        await node(cli, "groth16", "setup", "tiny.r1cs", "tau.ptau", "bare.zkey")
        await node(cli, "zkey", "contribute", "bare.zkey", "final.zkey", "--name=a guest", "-e=b")

    asyncio.run(work())
    names = ("tiny.r1cs", "tiny.wasm", "tiny.sym", "tau.ptau", "final.zkey", "bare.zkey")
    return Files(*(folder / name for name in names))


async def test_a_source_becomes_a_version_with_a_marked_development_key(tmp_path: Path) -> None:
    source = write_source(tmp_path / "src")
    async with registry(tmp_path / "home") as circuits:
        manifest = await circuits.add_source("tiny", source)
        assert (manifest["name"], manifest["n_public"]) == ("tiny", 2)
        assert manifest["public"] == ["out", "shown"]
        assert manifest["inputs"] == {"shown": [], "hidden": [2], "grid": [2, 3]}
        setup = manifest["setup"]
        assert isinstance(setup, dict)
        assert (setup["kind"], setup["insecure"]) == ("development", True)
        assert "circom2 0.2.23" in str(manifest["compiler"])
        files = await circuits.resolve("tiny")
        assert files.version == manifest["version"]
        assert files == await circuits.resolve("tiny", files.version)
        provers = build_provers(os.environ, 1, HOME)
        try:
            for name in ("native", "snarkjs"):
                prove = ProveItem(tmp_path / "w", tmp_path / f"{name}.p", tmp_path / f"{name}.u")
                assert (await provers[name].witness(files, [WitnessItem(INPUTS, prove.wtns)], silent))[
                    0
                ].error is None
                (result,) = await provers[name].prove(files, [prove], silent)
                assert result.error is None
                assert result.detail["public"] == ["80", "5"]
                (check,) = await provers["native"].verify(files, [VerifyItem(prove.proof, prove.public)])
                assert check.error is None
        finally:
            for prover in provers.values():
                await prover.close()


async def test_the_same_source_finds_its_version_and_a_changed_include_makes_another(tmp_path: Path) -> None:
    async with registry(tmp_path / "home") as circuits:
        first = await circuits.add_source("tiny", write_source(tmp_path / "a"))
        assert (await circuits.add_source("tiny", write_source(tmp_path / "b")))["version"] == first[
            "version"
        ]
        source = write_source(tmp_path / "c")
        (tmp_path / "c" / "lib" / "square.circom").write_text(LIBRARY.replace("a * a", "a * a + a"))
        changed = await circuits.add_source("tiny", source)
        assert changed["version"] != first["version"]
        assert (await circuits.resolve("tiny")).version == changed["version"]
        assert (await circuits.resolve("tiny", str(first["version"]))).version == first["version"]


async def test_two_set_ups_at_once_make_one_key(tmp_path: Path) -> None:
    source = write_source(tmp_path / "src")
    async with registry(tmp_path / "home") as one, registry(tmp_path / "home") as two:
        found = await asyncio.gather(one.add_source("tiny", source), two.add_source("tiny", source))
        assert found[0]["version"] == found[1]["version"]


async def test_a_ceremony_key_is_imported_with_its_transcript(tmp_path: Path, made: Files) -> None:
    env = {"PROVERY_ENV": "production"}
    async with registry(tmp_path / "home", env) as circuits:
        manifest = await circuits.import_zkey(
            "tiny", made.ceremony, made.ptau, r1cs=made.r1cs, wasm=made.wasm, sym=made.sym
        )
        setup = manifest["setup"]
        assert isinstance(setup, dict)
        assert (setup["kind"], setup["insecure"]) == ("ceremony", False)
        contributions, transcript = setup["contributions"], setup["transcript"]
        assert isinstance(contributions, list)
        assert isinstance(transcript, dict)
        (only,) = contributions
        assert isinstance(only, dict)
        assert (only["number"], only["name"], len(str(only["hash"]))) == (1, "a guest", 128)
        assert transcript["ptau_checked"] is True
        assert (await circuits.resolve("tiny")).zkey.read_bytes() == made.ceremony.read_bytes()


async def test_a_key_whose_transcript_does_not_hold_is_refused(tmp_path: Path, made: Files) -> None:
    damaged = tmp_path / "damaged.zkey"
    data = bytearray(made.ceremony.read_bytes())
    data[-40] ^= 1
    damaged.write_bytes(data)
    files = {"r1cs": made.r1cs, "wasm": made.wasm, "skip_ptau": True}
    async with registry(tmp_path / "home") as circuits:
        with pytest.raises(InvalidKey, match="nobody has contributed"):
            await circuits.import_zkey("tiny", made.bare, made.ptau, **files)  # type: ignore[arg-type]
        with pytest.raises(InvalidKey):
            await circuits.import_zkey("tiny", damaged, made.ptau, **files)  # type: ignore[arg-type]
        with pytest.raises(InvalidKey):
            await circuits.import_zkey("tiny", made.ceremony, made.ceremony, **files)  # type: ignore[arg-type]
        with pytest.raises(UnknownCircuit):
            await circuits.resolve("tiny")


async def test_production_refuses_insecure_keys_unless_told(tmp_path: Path, made: Files) -> None:
    source = write_source(tmp_path / "src")
    production = {"PROVERY_ENV": "production"}
    async with registry(tmp_path / "home", production) as circuits:
        await circuits.add_source("made-here", source)
        await circuits.add_files("brought", made.r1cs, made.wasm, made.ceremony)
        for name, kind in (("made-here", "development"), ("brought", "unverified")):
            with pytest.raises(InvalidKey, match=f"{kind}.*PROVERY_ALLOW_INSECURE_KEYS"):
                await circuits.resolve(name)
    async with registry(tmp_path / "home", production | {"PROVERY_ALLOW_INSECURE_KEYS": "1"}) as circuits:
        assert (await circuits.resolve("made-here")).name == "made-here"
        assert (await circuits.resolve("brought")).name == "brought"


async def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, made: Files) -> None:
    other = write_source(tmp_path / "src", TINY.replace("square.b * hidden[1]", "square.b * hidden[0]"))
    key = made.ceremony.read_bytes()
    bad = {
        "cut off": key[:-1],
        "half": key[: len(key) // 2],
        "empty": b"",
        "header of another": key[:90] + b"\x01" + key[91:],
        "no zkey": made.r1cs.read_bytes(),
        "a point off the curve": key[: key.index(b"\x05\0\0\0", 700) + 40]
        + b"\x77"
        + key[key.index(b"\x05\0\0\0", 700) + 41 :],
    }
    async with registry(tmp_path / "home") as circuits:
        foreign = await circuits.resolve("other", str((await circuits.add_source("other", other))["version"]))
        for case, data in bad.items():
            path = tmp_path / f"{case}.zkey"
            path.write_bytes(data)
            assert (
                type(await refusal(circuits.add_files("tiny", made.r1cs, made.wasm, path))) is InvalidKey
            ), case
        assert foreign.r1cs is not None
        for r1cs, wasm, zkey, error in (
            (made.r1cs, made.wasm, foreign.zkey, InvalidKey),  # of the same shape: only the coefficients tell
            (foreign.r1cs, made.wasm, made.ceremony, InvalidKey),
            (made.r1cs, (await membership()).wasm, made.ceremony, InvalidInput),
            (made.r1cs, made.r1cs, made.ceremony, InvalidInput),
            (made.wasm, made.wasm, made.ceremony, InvalidInput),
        ):
            assert type(await refusal(circuits.add_files("tiny", r1cs, wasm, zkey))) is error
        with pytest.raises(UnknownCircuit):
            await circuits.resolve("tiny")


async def refusal(adding: object) -> ProveryError | None:
    try:
        await adding  # type: ignore[misc]
    except ProveryError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pragma circom 2.1.9; template", "correct the circuit"),
        ('include "/etc/passwd";', "absolute"),
        ('include "nowhere.circom";', "nowhere.circom"),
        (TINY.replace("out <==", "out <--"), ""),
    ],
)
async def test_a_source_that_does_not_compile_is_an_invalid_input(
    tmp_path: Path, text: str, says: str
) -> None:
    async with registry(tmp_path / "home") as circuits:
        if not says:  # an unconstrained output compiles, as circom only warns; it is the author's to see
            await circuits.add_source("tiny", write_source(tmp_path / "src", text))
            return
        with pytest.raises(InvalidInput, match=says) as caught:
            await circuits.add_source("tiny", write_source(tmp_path / "src", text))
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "x" * 64, "a\nb"])
async def test_hostile_names_are_refused(tmp_path: Path, name: str) -> None:
    async with registry(tmp_path / "home") as circuits:
        with pytest.raises(InvalidInput):
            await circuits.resolve(name)
        with pytest.raises(InvalidInput):
            await circuits.add_source(name, write_source(tmp_path / "src"))
