"""A node whose event loop stands still is degraded to the others, and gets no new work meanwhile."""

from __future__ import annotations

from tests.system.pairs import pair, told

PROCESSES = """
class Blocking(foundation.Process, wire_name="Blocking"):
    async def block(self, seconds: float) -> None:
        time.sleep(seconds)
    async def echo(self) -> str:
        return "here"
"""

STORY = """
async def story(cluster):
    server = await server_of(cluster)
    blocking = await cluster.start_process(Blocking, node=server)
    await blocking.echo()
    before = time.monotonic()
    async with cluster.events() as events:
        call = asyncio.create_task(foundation.options(blocking, timeout_s=30).block(3.0))
        was_degraded = False
        async for event in events:
            if event.member.degraded is was_degraded:
                continue
            was_degraded = event.member.degraded
            after = time.monotonic() - before
            tell(event="Event", kind=type(event).__name__, degraded=event.member.degraded, after=after)
            if event.member.degraded:
                placed = [await cluster.start_process(Blocking, node=foundation.ANY) for _ in range(3)]
                tell(event="Placed", here=all(one.process_id.node == cluster.node.node_id for one in placed))
            else:
                break
    await call
    tell(event="Done", answer=await blocking.echo(), status=str((await server_of(cluster)).status))
"""


async def test_a_node_that_stands_still_is_degraded() -> None:
    """Others hear of it after ``stuck_after_s``, place nothing on it, and hear when it goes on; it is never down."""
    async with pair(PROCESSES, STORY) as running:
        first = await told(running.driver, "Event")
        assert (first["kind"], first["degraded"]) == ("MemberUpdated", True)
        assert first["after"] > 1.9
        assert (await told(running.driver, "Placed"))["here"]
        second = await told(running.driver, "Event")
        assert (second["kind"], second["degraded"]) == ("MemberUpdated", False)
        assert await told(running.driver, "Done") == {"event": "Done", "answer": "here", "status": "up"}
