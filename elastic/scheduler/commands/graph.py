"""Graph of a DAG as Graphviz or Mermaid source."""

from elastic.dag.dag import DAG


def dot(dag: DAG) -> str:
    """Return the graph as Graphviz source."""
    lines = [f"digraph {_quoted(dag.dag_id)} {{", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for task in dag.tasks:
        label = f"{task.task_id}\\n{task.operator_type}"
        lines.append(f"  {_quoted(task.task_id)} [label={_quoted(label)}, fillcolor={_quoted(task.ui_color)}];")
    lines += [f"  {_quoted(task.task_id)} -> {_quoted(one)};" for task in dag.tasks for one in task.downstream]
    return "\n".join([*lines, "}"])


def mermaid(dag: DAG) -> str:
    """Return the graph as Mermaid source, which Markdown renderers draw."""
    names = {task.task_id: f"t{number}" for number, task in enumerate(dag.tasks)}
    lines = ["graph LR", *(f'  {name}["{task_id}"]' for task_id, name in names.items())]
    lines += [f"  {names[task.task_id]} --> {names[one]}" for task in dag.tasks for one in task.downstream]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
