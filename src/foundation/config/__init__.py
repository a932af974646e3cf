"""What a node is to be: one frozen record from defaults, a file, secrets, the environment and arguments."""

from foundation.config.config import Config
from foundation.config.cookie import read_cookie
from foundation.config.loading import load_config

__all__ = ["Config", "load_config", "read_cookie"]
