"""Which of several rows about one child says what is to become of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.registry.rows import MOVED, NOT_RUNNING, NameRow, begun, contenders, decisive, is_outlived, terminated

HERE, THERE, FAR = (NodeId(name) for name in ("here", "there", "far"))
OLD = NameRow(1, epoch=1, stamp=100, life=100)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[NodeId, NameRow]]:
    """Give rows as they come to be: started, started anew or terminated by who knows some of the others, or moved."""
    rows: list[tuple[NodeId, NameRow]] = []
    for step in range(draw(st.integers(1, 8))):
        known = [row for row in rows if draw(st.booleans())]
        node = NodeId(f"node {step}")
        stamp = draw(st.integers(1, 50)) * 10 + step
        alive = [row for _, row in known if row.serial >= NOT_RUNNING]
        kind = draw(st.sampled_from(["start", "terminate", "move"])) if alive else "start"
        if kind == "start":
            rows.append((node, begun(NameRow(1, step + 1, stamp), known)))
        elif kind == "terminate":
            rows.append((node, terminated(draw(st.sampled_from(alive)), known)))
        else:
            row = draw(st.sampled_from(alive))
            rows.append((node, NameRow(1, row.epoch + 1, row.stamp, life=row.life, after=row.after)))
    return rows


@given(histories())
def test_one_row_is_left_in_the_end(rows: list[tuple[NodeId, NameRow]]) -> None:
    """However lives began and ended, no two rows outlive each other, and one decides."""
    for one in rows:
        assert not any(is_outlived(one, other) and is_outlived(other, one) for other in rows)
    best = decisive(rows)
    assert best in contenders(rows)


@given(histories())
def test_what_is_terminated_by_who_knows_all_stays_so(rows: list[tuple[NodeId, NameRow]]) -> None:
    """It ends each life that it has heard of, whoever holds it."""
    alive = [row for _, row in rows if row.serial >= NOT_RUNNING]
    if alive:
        end = (FAR, terminated(alive[0], rows))
        assert decisive([*rows, end])[1].serial == end[1].serial  # type: ignore[index]
        assert all(row.serial == end[1].serial or is_outlived((node, row), end) for node, row in rows)


def test_a_new_start_outlives_what_it_has_heard_of() -> None:
    """The old process ends where nobody knew yet that it was terminated."""
    ended = terminated(OLD, [(HERE, OLD)])
    new = begun(NameRow(1, 3, 300), [(THERE, ended)])
    assert is_outlived((HERE, OLD), (FAR, new))
    assert is_outlived((THERE, ended), (FAR, new))


def test_the_end_of_a_stranger_ends_nothing_that_began_later() -> None:
    """Two children of one name were started apart: that one was terminated says nothing about the other."""
    ended = terminated(OLD, [(HERE, OLD)])
    other = begun(NameRow(1, 1, 200), [])
    assert contenders([(HERE, ended), (THERE, other)]) == [(HERE, ended), (THERE, other)]
    assert decisive([(HERE, ended), (THERE, other)]) == (THERE, other)


def test_two_that_began_apart_are_a_conflict() -> None:
    """Neither takes the place of the other without a decision, so that the one can merge the other."""
    both = [(HERE, OLD), (THERE, begun(NameRow(1, 1, 200), []))]
    assert contenders(both) == both


def test_a_row_that_was_handed_over_gives_way() -> None:
    """Both have the same claim; the one in the higher epoch is at the new place."""
    left = NameRow(MOVED, 1, 100, life=100)
    taken = NameRow(2, 2, 100, life=100)
    assert contenders([(HERE, left), (THERE, taken)]) == [(THERE, taken)]
