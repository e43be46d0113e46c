"""`scripts/render_docs`: bring every generated file of docs/ up to date, and say which were not."""

from __future__ import annotations

from scripts.documentation.pages import ROOT, stale_files


def main() -> None:
    for name, text in stale_files().items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
