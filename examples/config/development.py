import asyncio

import foundation


async def main() -> None:
    async with foundation.start_cluster(profile="development") as cluster:
        print(cluster.cluster_info())


if __name__ == "__main__":
    asyncio.run(main())
