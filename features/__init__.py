"""Pixels -> rows about (query pin, candidate pin).

oneDNN keeps a compiled kernel for every input shape it has met, and photos come in many shapes:
with its default of 1,024 kernels a run over 7,000 photos grew to 3.3 GB; with 16, 512 photos stayed
at 1.2 GB from the first to the last, at the same speed. It has to be said before oneDNN is used;
the environment overrides it.
"""

import os

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
