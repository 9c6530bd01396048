"""`cvm versions`: what was published and is kept."""

from __future__ import annotations

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of


def versions(config: Config = None, as_json: AsJson = False) -> None:
    """List the published versions that are kept, newest first.

    Examples:  cvm versions  ·  cvm versions --json
    """
    from cvm_pipeline.warehouse.versions import versions as kept_versions

    project = project_of(config, quiet=as_json, needs_secrets=False)
    kept = kept_versions(project.home)
    if as_json:
        words.print_json([vars(version) for version in kept])
        return
    if not kept:
        words.say("Nothing is published yet")
        words.next_step("cvm run")
        return
    shown = words.table("version", "as of", "published (UTC)", "size ", "")
    for version in kept:
        size = f"{version.size / 1e6:,.1f} MB"
        stands = "stands" if version.is_current else ""
        shown.add_row(
            version.publication_id, str(version.as_of_date), f"{version.published_at:%Y-%m-%d %H:%M}", size, stands
        )
    words.output().print(shown)
