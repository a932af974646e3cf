"""The examples do what their first lines say."""

from __future__ import annotations

from pathlib import Path

from tests.commands import commands

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


async def test_two_counters_are_one() -> None:
    """The counter that the first program started is found by name from the second one, and counts for both."""
    async with commands() as cli:
        program = str(EXAMPLES / "counter.py")
        async with await cli.python(program, node="one") as one:
            await one.line("one runs the counter")
            await one.line("11")
            async with await cli.python(program, node="other") as other:
                await other.line("other found the counter")
                await other.line("17")
            await one.line("17")


async def test_words_are_counted_with_a_helper() -> None:
    """Beside a node that has the example as its module, a run of the example comes to the right counts."""
    async with commands() as cli:
        (cli.ground.folder / "text.txt").write_text("to be or not to be\n" * 20_000)
        program = str(EXAMPLES / "wordcount.py")
        async with await cli.start("node", program, "--name", "helper") as helper:
            await helper.line("helper is ready")
            async with await cli.python(program, "text.txt", node="one") as one:
                assert await one.end() == 0
                counts = sorted(one.output.splitlines())
            await helper.line("one has left")
    assert counts == ["('be', 40000)", "('not', 20000)", "('or', 20000)", "('to', 40000)"]


def test_what_a_new_user_reads_is_short() -> None:
    """The word count has less than 80 lines, and it is the file that the wheel carries."""
    example = EXAMPLES / "wordcount.py"
    carried = ROOT / "src" / "foundation" / "examples" / "wordcount.py"
    assert len(example.read_text().splitlines()) < 80
    assert carried.readlink() == Path("../../../examples/wordcount.py")
    assert carried.read_text() == example.read_text()
