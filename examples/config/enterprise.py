import asyncio

import foundation

CLUSTERS = {
    "web": {"cluster": "kubernetes"},
    "ai": {"cluster": "consul"},
    "data": {"cluster": "dns", "strategies": {"dns": {"query": "data.example.com", "default_port": 7400}}},
}


async def main() -> None:
    async with foundation.start_cluster(profile="enterprise", clusters=CLUSTERS) as cluster:
        print(cluster.cluster_info())


if __name__ == "__main__":
    asyncio.run(main())
