"""Compiles an Avro schema into a function that writes our frozen values, and one that reads them back.

Encoding is what most of a change costs, and most of that is walking a schema and copying values into dictionaries for
it. Here the schema is walked once, into straight-line Python that takes each field from its attribute. Tests hold every
byte of it to fastavro, which knows nothing of this.

Only what our schemas use is known: records, unions of null and one other type, arrays, and the primitive and logical
types of `primitives`. Anything else refuses to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from connector.avro import primitives

Schema = Any
"""A schema as JSON has it."""

_INDENT: Final = "    "
_UNION_OF_TWO: Final = 2
_BOOLEANS: Final = {False: 0, True: 1}
_ALL_PRIMITIVES: Final = {name: value for name, value in vars(primitives).items() if name.startswith(("read", "write"))}
_LOGICAL: Final = {"timestamp-micros": "instant", "date": "day", "decimal": "decimal"}


def compile_writer(schema: Schema, *, given: tuple[str, ...] = ()) -> Callable[..., bytes]:
    """A function that takes a value with an attribute for every field, and gives its Avro binary.

    The fields that are `given` are not taken from the value: their bytes are further arguments, in that order. A value
    that does not fit raises TypeError, ValueError, AttributeError, KeyError or OverflowError.
    """
    source = _Source(_named_types(schema))
    source.line(f"def write({', '.join(('value', *given))}):")
    source.line("out = bytearray()", 1)
    for field in schema["fields"]:
        if field["name"] in given:
            source.line(f"out += {field['name']}", 1)
        else:
            _write(source, field["type"], f"value.{field['name']}", 1)
    source.line("return bytes(out)", 1)
    writer: Callable[..., bytes] = source.compiled("write")
    return writer


def compile_reader(schema: Schema, kind: type) -> Callable[[bytes, int], tuple[Any, int]]:
    """A function that takes data and a place in it, and gives a `kind` and the place behind it.

    `kind` is a dataclass or named tuple with the schema's fields in the same order. Damaged data raises ValueError,
    IndexError, EOFError, OverflowError or ArithmeticError, or is read as something else.
    """
    source = _Source(_named_types(schema))
    source.line("def read(data, place):")
    _read(source, schema, kind, "value", 1)
    source.line("return value, place", 1)
    reader: Callable[[bytes, int], tuple[Any, int]] = source.compiled("read")
    return reader


class _Source:
    """Lines of Python that are being written, and the names that they use."""

    def __init__(self, types: Mapping[str, Schema]) -> None:
        self.types = types
        self.names: dict[str, Any] = {**_ALL_PRIMITIVES, "booleans": _BOOLEANS, "lengths": primitives.LENGTHS}
        self._lines: list[str] = []
        self._count = 0

    def line(self, text: str, depth: int = 0) -> None:
        self._lines.append(_INDENT * depth + text)

    def name(self) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"v{self._count}"

    def resolve(self, schema: Schema) -> Schema:
        """A reference as the type that it names; anything else as it is."""
        return self.types.get(schema, schema) if isinstance(schema, str) else schema

    def compiled(self, function: str) -> Any:  # noqa: ANN401  # the function
        exec(compile("\n".join(self._lines), "<an Avro schema>", "exec"), self.names)  # noqa: S102  # our own schemas
        return self.names[function]


def _named_types(schema: Schema) -> dict[str, Schema]:
    return {f"{namespace}.{one['name']}": one for namespace, one in _records(schema, "")}


def _records(schema: Schema, namespace: str) -> Iterator[tuple[str, Schema]]:
    if isinstance(schema, list):
        for option in schema:
            yield from _records(option, namespace)
    elif isinstance(schema, dict):
        namespace = schema.get("namespace", namespace)
        if schema["type"] == "record":
            yield namespace, schema
        for part in (*(field["type"] for field in schema.get("fields", ())), schema.get("items", ())):
            yield from _records(part, namespace)


def _nullable(schema: Schema) -> Schema | None:
    """The other type of a union with null; None where it is no union."""
    if not isinstance(schema, list):
        return None
    if len(schema) != _UNION_OF_TWO or schema[0] != "null":
        raise ValueError("a union must be of null and one other type")
    return schema[1]


def _logical(schema: Schema) -> tuple[str, tuple[str, ...]] | None:
    """The primitive that a logical type is written with, and its further arguments; None for other types."""
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return None
    name = _LOGICAL[schema["logicalType"]]
    return name, (str(schema["scale"]), str(10 ** schema["precision"])) if name == "decimal" else ()


# ── Writers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(source: _Source, schema: Schema, value: str, depth: int) -> None:
    """Lines that append the value of the expression `value` to `out`."""
    schema = source.resolve(schema)
    inner = _nullable(schema)
    logical = _logical(schema)
    if inner is not None:
        name = source.name()
        source.line(f"{name} = {value}", depth)
        source.line(f"if {name} is None:", depth)
        source.line("out.append(0)", depth + 1)
        source.line("else:", depth)
        source.line("out.append(2)", depth + 1)
        _write(source, inner, name, depth + 1)
    elif logical is not None:
        name, arguments = logical
        source.line(f"out += write_{name}({', '.join((value, *arguments))})", depth)
    elif isinstance(schema, dict) and schema["type"] == "record":
        name = source.name()
        source.line(f"{name} = {value}", depth)
        for field in schema["fields"]:
            _write(source, field["type"], f"{name}.{field['name']}", depth)
    elif isinstance(schema, dict) and schema["type"] == "array":
        _write_array(source, schema["items"], value, depth)
    else:
        _write_primitive(source, schema if isinstance(schema, str) else schema["type"], value, depth)


def _write_array(source: _Source, items: Schema, value: str, depth: int) -> None:
    name, item = source.name(), source.name()
    source.line(f"{name} = {value}", depth)
    source.line(f"if {name}:", depth)
    source.line(f"out += write_length(len({name}))", depth + 1)
    source.line(f"for {item} in {name}:", depth + 1)
    _write(source, items, item, depth + 2)
    source.line("out.append(0)", depth)


def _write_primitive(source: _Source, primitive: str, value: str, depth: int) -> None:
    if primitive in {"string", "bytes"}:
        name = source.name()
        source.line(f"{name} = {value}.encode()" if primitive == "string" else f"{name} = {value}", depth)
        source.line(f"size = len({name})", depth)
        source.line(f"out += lengths[size] if size < {len(primitives.LENGTHS)} else write_long(size)", depth)
        source.line(f"out += {name}", depth)
    elif primitive in {"int", "long"}:
        if primitive == "int":
            source.line(f"if not -0x80000000 <= {value} < 0x80000000: raise OverflowError", depth)
        source.line(f"out += write_long({value})", depth)
    elif primitive == "boolean":
        source.line(f"out.append(booleans[{value}])", depth)
    else:
        raise ValueError(f"the type {primitive!r} is not known here")


# ── Readers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(source: _Source, schema: Schema, hint: Any, target: str, depth: int) -> None:  # noqa: ANN401  # a type
    """Lines that read what is at `place` into `target`, as the annotation `hint` has it, and move `place` on."""
    schema = source.resolve(schema)
    inner = _nullable(schema)
    logical = _logical(schema)
    if inner is not None:
        source.line("branch = data[place]", depth)
        source.line("place += 1", depth)
        source.line("if branch == 2:", depth)
        _read(source, inner, _without_none(hint), target, depth + 1)
        source.line("elif branch:", depth)
        source.line("raise ValueError", depth + 1)
        source.line("else:", depth)
        source.line(f"{target} = None", depth + 1)
    elif logical is not None:
        name, arguments = logical
        source.line(f"{target}, place = read_{name}({', '.join(('data', 'place', *arguments[:1]))})", depth)
    elif isinstance(schema, dict) and schema["type"] == "record":
        _read_record(source, schema, hint, target, depth)
    elif isinstance(schema, dict) and schema["type"] == "array":
        _read_array(source, schema["items"], get_args(hint)[0], target, depth)
    else:
        _read_primitive(source, schema if isinstance(schema, str) else schema["type"], target, depth)


def _read_record(source: _Source, schema: Schema, kind: type, target: str, depth: int) -> None:
    hints = get_type_hints(kind)
    parts = []
    for field in schema["fields"]:
        parts.append(source.name())
        _read(source, field["type"], hints[field["name"]], parts[-1], depth)
    source.names[kind.__name__] = kind
    names = [field["name"] for field in schema["fields"]]
    arguments = ", ".join(f"{name}={part}" for name, part in zip(names, parts, strict=True))
    source.line(f"{target} = {kind.__name__}({arguments})", depth)


def _read_array(source: _Source, items: Schema, hint: Any, target: str, depth: int) -> None:  # noqa: ANN401  # a type
    gathered, count, item = source.name(), source.name(), source.name()
    source.line(f"{gathered} = []", depth)
    source.line("while True:", depth)
    source.line(f"{count}, place = read_long(data, place)", depth + 1)
    source.line(f"if not 0 < {count} <= len(data):", depth + 1)
    source.line(f"if {count}: raise ValueError", depth + 2)
    source.line("break", depth + 2)
    source.line(f"for _ in range({count}):", depth + 1)
    _read(source, items, hint, item, depth + 2)
    source.line(f"{gathered}.append({item})", depth + 2)
    source.line(f"{target} = tuple({gathered})", depth)


def _read_primitive(source: _Source, primitive: str, target: str, depth: int) -> None:
    if primitive == "string":
        # Nearly every text is short: its length is one byte.
        source.line("size = data[place]", depth)
        source.line("if size > 127:", depth)
        source.line("size, start = read_long(data, place)", depth + 1)
        source.line("if size < 0: raise ValueError", depth + 1)
        source.line("else:", depth)
        source.line("if size & 1: raise ValueError", depth + 1)
        source.line("size >>= 1", depth + 1)
        source.line("start = place + 1", depth + 1)
        source.line("place = start + size", depth)
        source.line(f"{target} = data[start:place].decode()", depth)
    elif primitive == "bytes":
        source.line(f"{target}, place = read_bytes(data, place)", depth)
    elif primitive in {"int", "long"}:
        source.line(f"{target}, place = read_long(data, place)", depth)
    elif primitive == "boolean":
        source.line(f"{target} = bool(data[place])", depth)
        source.line("place += 1", depth)
    else:
        raise ValueError(f"the type {primitive!r} is not known here")


def _without_none(hint: Any) -> Any:  # noqa: ANN401  # a type
    if get_origin(hint) not in {Union, UnionType}:
        return hint
    (option,) = (option for option in get_args(hint) if option is not type(None))
    return option
