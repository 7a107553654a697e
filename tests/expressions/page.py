"""The table in docs/expressions.md, made of the closed list. ``python -m tests.expressions.page`` writes it."""

from __future__ import annotations

from pathlib import Path

from lambda_toolkit.pipeline.lambdas.shared.expression.signatures import ALIASES, CALLED, SIGNATURES

PAGE = Path("docs/expressions.md")
BEGIN, END = "| name | takes, and gives |\n", "\n\n<!-- end of the list -->"
_WRITTEN = {"negative": "- (one value)", "positive": "+ (one value)", "at time zone": "at time zone"}
_SHORT = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "double precision": "double",
    "bpchar": "char(n)",
}


def table() -> str:
    """The rows, each with the candidates of a name; pairs of different numbers and dates are not repeated."""
    listed: dict[str, list[str]] = {}
    for name, signatures in SIGNATURES.items():
        found: dict[str, list[str]] = {}
        for signature in signatures:
            if signature.is_supported and signature.arguments == signature.computed:
                takes = ", ".join(_SHORT.get(kind, kind) for kind in signature.arguments)
                found.setdefault(_SHORT.get(signature.result, signature.result), []).append(f"({takes})")
        also = [alias for alias, of in ALIASES.items() if of == name]
        shown = f"{name}(...)" if name in CALLED else _WRITTEN.get(name, name)
        names = ", ".join(f"`{entry}`" for entry in (shown.replace("|", "\\|"), *also))
        listed.setdefault(_given(found), []).append(names)
    return BEGIN + "\n".join(("|---|---|", *(f"| {', '.join(names)} | {given} |" for given, names in listed.items())))


def _given(found: dict[str, list[str]]) -> str:
    return "; ".join(f"{' '.join(takes)} gives {gives}" for gives, takes in found.items())


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN), text.index(END)
    PAGE.write_text(text[:begin] + table() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
