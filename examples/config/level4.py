import asyncio

import foundation

CLUSTERS = {
    "app": {"cluster": "kubernetes", "strategies": {"kubernetes": {"selector": "app=myapp"}}},
    "ai": {
        "cluster": "dns",
        "roles": ["ai_workers", "model_cache"],
        "strategies": {"dns": {"query": "ai.example.com", "default_port": 7400}},
    },
    "analytics": {"cluster": "consul", "roles": ["stream_processors", "aggregators"]},
}


async def main() -> None:
    async with foundation.start_cluster(profile="enterprise", clusters=CLUSTERS) as cluster:
        print(cluster.cluster_info())


if __name__ == "__main__":
    asyncio.run(main())
