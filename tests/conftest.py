"""Before any test: no network."""

import os

# Read when huggingface_hub is imported. A name that is no folder would otherwise be looked up with retries.
os.environ["HF_HUB_OFFLINE"] = "1"
