"""What can be wrong with a configuration, and how it is said.

Belongs here: the mistake, its place, its words, and the nearest valid name. Not here: the rules themselves, nor how a
mistake is printed in colour (`cli/words.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake: its place in the file (1-based; 0 where it has none), the key, what is wrong and what would help."""

    line: int
    column: int
    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        said = f"{self.where}: {self.what}" if self.where else self.what
        return f"{said} ({self.hint})" if self.hint else said


class ConfigurationError(Exception):
    """A configuration that can't be used, with all of its mistakes in the order of the file."""

    def __init__(self, file: Path, mistakes: Iterable[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__(file, self.mistakes)

    def lines(self) -> list[str]:
        """One line per mistake, as a compiler writes them: `cvm.yml:12: sources[0].entity: ...`."""
        return [
            f"{self.file.name}:{mistake.line}: {mistake}" if mistake.line else f"{self.file.name}: {mistake}"
            for mistake in self.mistakes
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that lies nearest to a misspelt one, or None where none is near."""
    by_folded = {candidate.casefold(): candidate for candidate in valid}
    found = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, valid: Sequence[str]) -> str:
    """The hint for an unknown word: the nearest valid one, else all of them."""
    near = nearest(word, valid)
    return f"did you mean {near}?" if near else "valid: " + ", ".join(valid)
