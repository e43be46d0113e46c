"""Makes the parts of docs/ that the program itself can tell; `scripts/render_docs` writes them, tests/test_docs.py compares."""
