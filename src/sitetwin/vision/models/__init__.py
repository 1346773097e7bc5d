"""Published networks: which version, whose licence, and how they come onto this machine."""

from sitetwin.vision.models.fetching import RegistryError, cache_folder, fetch_model, is_fetched, model_files
from sitetwin.vision.models.pins import MODELS, Member, Pin

__all__ = [
    "MODELS",
    "Member",
    "Pin",
    "RegistryError",
    "cache_folder",
    "fetch_model",
    "is_fetched",
    "model_files",
]
