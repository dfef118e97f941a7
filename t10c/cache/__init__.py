"""What earlier commands found, kept for later ones (docs/cache.md).

- settings.py: where the store is and how large it may grow.
- store.py: entries in an SQLite file, shared by processes; raises where it cannot serve.
- keys.py: what decides a result, as a hash; fingerprint of the code that computes it.
- codec.py: dataclasses and arrays as bytes and back.
- cache.py: the store as commands use it: what it cannot serve is computed, and said once.
- searches.py: searches of operators; answers.py: plans of whole models.

Public face: `open_cache` with `cache_settings`, then `CachedSearches` and `CachedAnswers`;
`cache_usage` and `clear_cache` look after it.
"""
