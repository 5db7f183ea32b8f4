"""Identity of the unit of work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import ALL, ChunkKey, Selection, scope_of
from tests.frames import DAY, chunk

NAMES = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6)


def test_keys_are_the_same_for_ever() -> None:
    """They stand in stores and receipts: a changed one would make done work look undone."""
    assert chunk().key == "caiso_lmp[ALL]@20260714T0700Z/20260715T0700Z"
    named = chunk(LMP_DAY_AHEAD, chunk().window.start.date(), "B", "A")
    assert named.key == "caiso_lmp[2:23519a43c66b]@20260714T0700Z/20260715T0700Z"


@given(NAMES)
def test_order_and_repetition_of_names_do_not_matter(names: list[str]) -> None:
    assert Selection.named(names) == Selection.named([*reversed(names), names[0]])


@given(NAMES, NAMES)
def test_a_selection_covers_what_is_in_it(one: list[str], other: list[str]) -> None:
    assert Selection(ALL).covers(Selection.named(one))
    assert not Selection.named(one).covers(Selection(ALL))
    assert Selection.named(one).covers(Selection.named(other)) == (set(other) <= set(one))


def test_a_selection_is_a_word_or_names() -> None:
    with pytest.raises(ValueError, match="either a word"):
        Selection("ALL", ("A",))
    with pytest.raises(ValueError, match="either a word"):
        Selection()


def test_a_scope_holds_the_constants_of_the_natural_key() -> None:
    """Without them a commit would erase the neighbours in a table that several datasets share."""
    lmp = scope_of(chunk(word="ALL_APNODES"), LMP_DAY_AHEAD)
    assert lmp.equals == {
        "iso_code": ("CAISO",),
        "iso_market": ("DA",),
        "iso_market_run": ("DAM",),
        "iso_interval_minutes": (60,),
        "iso_location_type": ("AGGREGATE", "HUB", "ZONE"),
    }
    load = scope_of(chunk(LOAD_ACTUAL), LOAD_ACTUAL)
    assert load.equals == {
        "iso_code": ("CAISO",),
        "iso_interval_minutes": (60,),
        "load_native": ("SYS_FCST_ACT_MW",),
    }


def test_a_key_tells_its_chunk_or_takes_names_that_fit() -> None:
    whole, named = chunk(), chunk(LMP_DAY_AHEAD, DAY, "A", "Ü]@")
    assert ChunkKey.parse(whole.key).chunk() == whole == ChunkKey.parse(whole.key).chunk(["A"])
    found = ChunkKey.parse(named.key)
    assert (found.is_named, found.dataset, found.window) == (True, "caiso_lmp", named.window)
    assert found.chunk(["Ü]@", "A"]) == named
    assert found.chunk(["A"]) is found.chunk() is None


@pytest.mark.parametrize("key", ["", "test", "caiso_lmp[ALL]", "caiso_lmp@20260714T0700Z/20260715T0700Z"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not the key of a chunk"):
        ChunkKey.parse(key)
