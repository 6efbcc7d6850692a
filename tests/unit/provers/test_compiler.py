"""How a circuit's sources are found and told apart; the compiler itself is at work in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from provery.core.errors import InvalidInput
from provery.provers.compiler import gather


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "modules" / "lib").mkdir(parents=True)
    (tmp_path / "modules" / "lib" / "hash.circom").write_text('include "bits.circom";')
    (tmp_path / "modules" / "lib" / "bits.circom").write_text("")
    return tmp_path / "modules"


def write(folder: Path, main: str, **others: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in others.items():
        (folder / f"{name}.circom").write_text(text)
    (folder / "main.circom").write_text(main)
    return folder / "main.circom"


def test_includes_are_followed_beside_the_file_and_in_the_library(tmp_path: Path, library: Path) -> None:
    main = write(tmp_path / "a" / "b", 'include "../up.circom"; include "lib/hash.circom";')
    (tmp_path / "a" / "up.circom").write_text('include "b/main.circom";')  # a circle
    found = gather(main, library)
    assert found.main == "src/b/main.circom"
    assert set(found.files) == {
        "src/b/main.circom",
        "src/up.circom",
        "lib/lib/hash.circom",
        "lib/lib/bits.circom",
    }


def test_the_digest_is_of_all_contents_and_not_of_the_place(tmp_path: Path, library: Path) -> None:
    text = 'include "other.circom"; include "lib/hash.circom";'
    first = gather(write(tmp_path / "a", text, other="x"), library).sha256
    assert gather(write(tmp_path / "b", text, other="x"), library).sha256 == first
    assert gather(write(tmp_path / "c", text, other="y"), library).sha256 != first
    (library / "lib" / "bits.circom").write_text("changed")
    assert gather(write(tmp_path / "a", text, other="x"), library).sha256 != first


def test_comments_include_nothing(tmp_path: Path, library: Path) -> None:
    text = '// include "a";\n/* include "b"; */ log("// not a comment"); include "own.circom";'
    assert set(gather(write(tmp_path / "a", text, own=""), library).files) == {
        "src/main.circom",
        "src/own.circom",
    }


@pytest.mark.parametrize("name", ["gone.circom", "/etc/hostname", "", "../../../../etc/hostname\x1b[31m"])
def test_what_is_not_there_is_an_invalid_input(tmp_path: Path, library: Path, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        gather(write(tmp_path / "a", f'include "{name}";'), library)
    assert "\x1b" not in str(caught.value)


def test_a_missing_or_binary_source_is_an_invalid_input(tmp_path: Path, library: Path) -> None:
    with pytest.raises(InvalidInput):
        gather(tmp_path / "none.circom", library)
    (tmp_path / "bin.circom").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput):
        gather(tmp_path / "bin.circom", library)
