import asyncio

import foundation


async def main() -> None:
    async with foundation.start_cluster() as cluster:
        async for event in cluster.events():
            print(event)


asyncio.run(main())
