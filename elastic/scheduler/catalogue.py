"""What DAGs look like, kept in the database so that others can show and decide without their files."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from elastic.dag.dag import DAG
from elastic.dag.source import read_source
from elastic.dag.structure import to_structure
from elastic.db.dag_store import DagRow, keep_dag
from elastic.db.value import NewRun
from elastic.scheduler.site import Site


@dataclass(frozen=True, slots=True)
class Digests:
    """Which source and which structure a DAG has."""

    source: str | None
    structure: str

    def noted_in(self, run: NewRun) -> NewRun:
        """Return a run that is to be made, with what it will run."""
        return replace(run, source_digest=self.source, structure_digest=self.structure)


def keep(site: Site, dag: DAG) -> Digests:
    """Keep a DAG as it is now."""
    text, digest = _source(dag)
    structure = json.dumps(to_structure(dag, digest or ""), sort_keys=True)
    found = Digests(digest, hashlib.sha256(structure.encode()).hexdigest())
    row = DagRow(
        dag_id=dag.dag_id,
        fileloc=dag.fileloc,
        owner=dag.owner,
        description=dag.doc or None,
        schedule=str(dag.schedule),
        tags=",".join(dag.tags),
        task_count=dag.task_count,
        concurrency=dag.concurrency,
        is_paused=dag.is_paused_upon_creation,
        source_digest=digest,
        structure_digest=found.structure,
    )
    keep_dag(site.database, row, source=text, structure=structure)
    return found


def _source(dag: DAG) -> tuple[str, str | None]:
    """Return the source of a DAG with its digest; nothing for one that was made in a notebook."""
    try:
        source = read_source(Path(dag.fileloc))
    except OSError:
        return "", None
    text = source.text.encode("utf-8", "backslashreplace").decode()
    return text, source.digest
