"""What all tests share: none reads or leaves results in the cache of whoever runs them."""

import os

os.environ["T10C_CACHE"] = "off"
