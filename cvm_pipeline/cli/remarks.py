"""What a glad reader of the figures should know as well, in the same words at the end of a run and in `cvm status`.

Belongs here: what the gate warned of, where else it stands, which files are gone, which snapshots are out of date, and what makes them anew. Not here: how that is found
(`warehouse/`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cvm_pipeline.cli import words

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project
    from cvm_pipeline.sources.ingest import Vanished
    from cvm_pipeline.warehouse.summary import Warned

_DAYS_NAMED = 4
_WARNINGS_NAMED = 3
_FILES_NAMED = 5


def told_warnings(publication_id: str, warned: Sequence[Warned]) -> list[str]:
    """What a publication was warned of: the worst three in the checks' own words, and where the rest is told."""
    lines = []
    for each in warned[:_WARNINGS_NAMED]:
        word = f"accepted ({each.accepted_reason})" if each.accepted_reason else "warned"
        lines.append(f"{word}: not so: {each.check.replace('_', ' ')} ({each.suite}); found {each.observed}")
    if lines:
        more = len(warned) - len(lines)
        lines.append(
            f"{f'and {more} more; ' if more else ''}expected, found and where to look: "
            + words.to_type(f"cvm gate explain {publication_id}")
        )
    return lines


def told_elsewhere(project: Project) -> str:
    """Where publications stand besides the home's own files; empty where nowhere."""
    from cvm_pipeline.warehouse.targets.choose import target_of

    dsn = project.publish.dsn
    if project.publish.target == "postgres" and dsn is not None and "${" in dsn.get_secret_value():
        return "Published to as well: the PostgreSQL of publish.dsn, whose variable is not set here"
    target = target_of(project)
    return f"Published to as well: {target.name}" if target is not None else ""


def vanished(project: Project) -> list[Vanished]:
    """Files that are no longer there but still count."""
    from cvm_pipeline.defs.project_sources import specs_of
    from cvm_pipeline.sources.ingest import vanished_files

    return vanished_files(specs_of(project), project.root, project.home.landing)


def told_vanished(files: Sequence[Vanished]) -> list[str]:
    """Those files in words, the largest first, and how their rows are taken back; nothing where there are none."""
    if not files:
        return []
    largest = sorted(files, key=lambda file: (-file.rows, file.name))
    named = ", ".join(f"{file.name} ({file.rows:,} rows)" for file in largest[:_FILES_NAMED])
    more = f" and {len(files) - _FILES_NAMED} more" if len(files) > _FILES_NAMED else ""
    if len(files) == 1:
        return [f"1 file no longer there still counts: {named}; an empty file of that name takes them back"]
    return [f"{len(files)} files no longer there still count: {named}{more}; empty files of those names take them back"]


def out_of_date(project: Project) -> dict[str, list[dt.date]]:
    """Snapshots that would come out otherwise today: `changed_snapshots` for what they know, `stale_snapshots` for what
    they remember."""
    from cvm_pipeline.warehouse.inputs import changed_snapshots
    from cvm_pipeline.warehouse.summary import stale_snapshots

    return {
        "changed_snapshots": changed_snapshots(project.home, project.config_hash),
        "stale_snapshots": stale_snapshots(project.home, project.is_on_grid),
    }


def told_out_of_date(project: Project, changed: Sequence[dt.date], stale: Sequence[dt.date]) -> list[str]:
    """Those snapshots in words, and the commands that make them anew; nothing where there are none."""
    lines = []
    if changed:
        lines.append(f"changed since: {_days(changed)} (made of other data or another configuration than today's)")
    if stale:
        lines.append(f"stale: {_days(stale)} (an earlier snapshot, which they remember, was made since)")
    if lines:
        from cvm_pipeline.warehouse.versions import snapshots

        there = {snapshot.as_of_date for snapshot in snapshots(project.home)}
        commands = making_anew(
            {*changed, *stale}, project.is_on_grid, lambda *ends: there.issuperset(project.grid(*ends))
        )
        lines.append(f"make them anew: {', then '.join(words.to_type(command) for command in commands)}")
    return lines


def making_anew(
    days: set[dt.date], is_on_grid: Callable[[dt.date], bool], is_whole: Callable[[dt.date, dt.date], bool]
) -> list[str]:
    """The commands that make these snapshots anew, the grid's first: the others remember them.

    `is_whole`: whether each date of the grid from one to another has a snapshot; a backfill over a hole would fill it.
    """
    ranges: list[list[dt.date]] = []
    for day in sorted(filter(is_on_grid, days)):
        if ranges and is_whole(ranges[-1][-1], day):
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return [
        *(
            f"cvm backfill --from {some[0]} --to {some[-1]}" if len(some) > 1 else f"cvm run --as-of {some[0]}"
            for some in ranges
        ),
        *(f"cvm run --as-of {day}" for day in sorted(days) if not is_on_grid(day)),
    ]


def told_behind(as_of: dt.date, newest: dt.date) -> str:
    """That a run was for a day before what readers see; empty where it was not."""
    if as_of >= newest:
        return ""
    return (
        f"Readers' customer_value is still the snapshot of {newest}: this run was for {as_of}, an earlier day, and wrote only"
        f" its own rows of the history. If {newest} is what was wrong: {words.to_type(f'cvm run --as-of {newest}')}"
    )


def _days(days: Sequence[dt.date]) -> str:
    if len(days) <= _DAYS_NAMED:
        return ", ".join(map(str, days))
    return f"{len(days)} snapshots from {days[0]} to {days[-1]}"
