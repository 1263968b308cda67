"""What may be said of a run before it starts."""

import dataclasses

OK, NOTE, WARNING, MISTAKE = "ok", "note", "warning", "mistake"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        level: `OK`, `NOTE`, `WARNING` or `MISTAKE`; the last one would end the run.
        topic: str, "photos", "captions", "identifier", "prompts", "memory" or "settings".
        text: str.
    """

    level: str
    topic: str
    text: str

    def __str__(self):
        return f"{self.level:>8}  {self.topic:<10}  {self.text}"
