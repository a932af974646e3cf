import asyncio

import foundation


async def main() -> None:
    async with foundation.start_cluster(
        cluster="static",
        peers=["10.0.0.1:7400", "10.0.0.2:7400"],
    ) as cluster:
        print(cluster.cluster_info())


if __name__ == "__main__":
    asyncio.run(main())
