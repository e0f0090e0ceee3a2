"""Messages of any type with any of their fields set, bodies that nearly are such messages, and the
many ways to write one body.
"""

import json

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

INT32 = st.integers(-(2**31), 2**31 - 1)
# Surrogates are not text; U+0000 is refused on purpose.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
# From year 1 to 9999, to the nanosecond.
SECONDS = st.integers(-62135596800, 253402300799)
# Larger ones lose digits in one of the two converters, as in any reader of JSON.
DOUBLES = st.floats(-1e15, 1e15, allow_nan=False, allow_infinity=False)
FREE = st.recursive(
    st.none() | st.booleans() | TEXT | DOUBLES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SCALARS = {
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: INT32,
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: DOUBLES,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
}
PATHS = st.lists(st.sampled_from(["title", "credits", "cluster_id"]), max_size=3, unique=True)
DEPTH_MAX = 4
"""Messages in each other; deeper ones of a type that holds itself stay empty."""


def value_of(field):
    """Values of a field that is no message."""
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return SCALARS[field.type]


@st.composite
def filled(draw, desc, depth=0):
    """A message of this type."""
    message = GetMessageClass(desc)()
    for field in desc.fields:
        if draw(st.booleans()):
            put(draw, message, field, depth)
    return message


def put(draw, message, field, depth):
    """Sets one field."""
    target = getattr(message, field.name)
    inner = field.message_type
    if inner is None:
        if field.is_repeated:
            target.extend(draw(st.lists(value_of(field), max_size=3)))
        else:
            setattr(message, field.name, draw(value_of(field)))
    elif depth == DEPTH_MAX:
        return
    elif inner.GetOptions().map_entry:
        keys, values = (value_of(inner.fields_by_name[name]) for name in ("key", "value"))
        target.update(draw(st.dictionaries(keys, values, max_size=3)))
    elif field.is_repeated:
        target.extend(draw(st.lists(filled(inner, depth + 1), max_size=3)))
    elif inner.full_name == "google.protobuf.Timestamp":
        target.seconds, target.nanos = draw(SECONDS), draw(st.integers(0, 999_999_999))
    elif inner.full_name == "google.protobuf.Struct":
        target.update(draw(st.dictionaries(TEXT, FREE, max_size=3)))
    elif inner.full_name == "google.protobuf.FieldMask":
        target.paths.extend(draw(PATHS))
    else:
        target.CopyFrom(draw(filled(inner, depth + 1)))


WORDS = st.sampled_from(
    [
        *("post", "1", "1e3", "-0", "", "true", "1.5", "NaN", "Infinity", "title,credits"),
        *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+02:00"),
        "0199c0de-0000-7000-8000-000000000001",
        # Half a character, none that may be kept, one beyond the first plane.
        *("\ud800", "a\x00", "\U00010000"),
    ]
)
BIG = st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30])
ODD = st.recursive(
    st.none() | st.booleans() | INT32 | st.integers() | BIG | st.floats() | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def odd_bodies(draw, desc):
    """JSON with names of fields in both spellings, and values that may or may not fit."""
    names = [name for field in desc.fields for name in (field.name, field.json_name)]
    keys = st.sampled_from(names) | TEXT if names else TEXT
    body = draw(st.dictionaries(keys, ODD, max_size=4))
    for field in desc.fields:
        if field.enum_type is not None and draw(st.booleans()):
            body[field.name] = draw(st.sampled_from([v.name for v in field.enum_type.values]))
        elif field.message_type is not None and not field.is_repeated and draw(st.booleans()):
            body[field.name] = draw(st.dictionaries(keys, ODD, max_size=3))
    return body


BLANKS = st.sampled_from(["", "", " ", "\n", "\t \r\n"])


@st.composite
def texts_of(draw, value):
    """JSON of this value: with blanks and escapes, numbers as fractions, with exponents, quoted."""
    if isinstance(value, dict):
        items = [f"{draw(texts_of(key))}:{draw(texts_of(item))}" for key, item in value.items()]
        text = f"{{{','.join(items)}}}"
    elif isinstance(value, list):
        text = f"[{','.join(draw(texts_of(item)) for item in value)}]"
    elif isinstance(value, str):
        text = draw(st.sampled_from([json.dumps(value), escaped(value)]))
    elif isinstance(value, int) and not isinstance(value, bool):
        text = draw(st.sampled_from(["{}", "{}.0", "{}e0", "{}E+0", '"{}"', '"{}.0"'])).format(
            value
        )
    else:
        text = json.dumps(value)
    return f"{draw(BLANKS)}{text}{draw(BLANKS)}"


def escaped(text):
    """The text with every character as escapes."""
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return '"' + "".join(f"\\u{pair}" for pair in pairs) + '"'
