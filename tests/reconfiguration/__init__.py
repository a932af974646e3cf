"""Changes of the configuration while a cluster runs."""
