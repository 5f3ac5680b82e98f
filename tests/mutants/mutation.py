"""Small changes of a module's source, one at a time, each of which some test should notice."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A span of source code and its replacement."""

    line: int
    start: int  #: bytes from the start of the source
    stop: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"line {self.line}: {' '.join(self.before.split())[:80]} -> {self.after[:80]}"

    def apply(self, source: str) -> str:
        """Return the source with this change."""
        data = source.encode()
        return (data[: self.start] + self.after.encode() + data[self.stop :]).decode()


def mutations(source: str) -> list[Mutation]:
    """Return every mutation of the functions of a module, in the order of its lines."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in _own_nodes(function):
            for after in _changes(node):
                start = starts[node.lineno - 1] + node.col_offset
                stop = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
                before = source.encode()[start:stop].decode()
                found.append(Mutation(line=node.lineno, start=start, stop=stop, before=before, after=after))
    return sorted(set(found), key=lambda one: (one.start, one.after))


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.stmt | ast.expr]:
    """Yield the statements and expressions of a body; the texts of docstrings and of errors are not among them."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Raise, ast.FunctionDef, ast.JoinedStr)):
            continue
        if isinstance(node, (ast.stmt, ast.expr)):
            yield node
        waiting += ast.iter_child_nodes(node)


def _changes(node: ast.stmt | ast.expr) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            yield _parenthesised(ast.Compare(node.left, [_COMPARISONS[type(op)]()], node.comparators))
        case ast.BoolOp(op=ast.And()):
            yield _parenthesised(ast.BoolOp(ast.Or(), node.values))
        case ast.BoolOp(op=ast.Or()):
            yield _parenthesised(ast.BoolOp(ast.And(), node.values))
        case ast.UnaryOp(op=ast.Not()):
            yield _parenthesised(node.operand)
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield _parenthesised(ast.BinOp(node.left, _ARITHMETIC[type(op)](), node.right))
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(number)):
            yield str(number + 1)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "pass"


def _parenthesised(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"
