"""The engines that can carry a cluster, one file each, found by name."""
