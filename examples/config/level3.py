import asyncio

import foundation


async def main() -> None:
    async with foundation.start_cluster(
        cluster="kubernetes",
        fallback=["gossip"],
        roles=["web"],
        metadata={"zone": "eu-1a"},
        strategies={
            "kubernetes": {"mode": "hostname", "service": "myapp", "selector": "app=myapp"},
            "gossip": {"multicast_addr": "239.255.70.79", "multicast_ttl": 1},
        },
        membership={"down_after_s": 20},
        processes={"call_timeout_s": 2.5},
        registry={"register_timeout_s": 10},
        distribution={"rebalance": True},
    ) as cluster:
        print(cluster.cluster_info())


if __name__ == "__main__":
    asyncio.run(main())
