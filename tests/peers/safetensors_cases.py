"""Safetensors files for safetensors_package.py: sound ones, and ones that chance has damaged.

A header is built as a tree, changed as a tree, written with more or less white space and escapes, changed as
text and put into a file that may be changed again. The same seed gives the same files.
"""
import json
import struct

DTYPES = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
NAMES = ["w", "h.0.attn", "", "é", "名", "\U0001f41a", "a\nb", 'q"', "\\", "\0", "\x7f", "\uffff", "dtype", "__metadata",
         "x" * 70]
FIELDS = ["dtype", "shape", "data_offsets"]


class Object(list):
    """A JSON object as [key, value] pairs: keys may repeat."""


class Raw(str):
    """JSON text that is written as it is."""


def numbers(rng, value):
    """Texts in the place of a number; some of them are the number."""
    return Raw(rng.choice([
        f"{value}.0", f"{value}e0", f"{value}E+0", f"{value}0e-1", "1e3", "1.5", "-0", "0.0", f"-{value}", f"0{value}",
        f"+{value}", f"0x{value}", f"{value}.", f".{value}", f"{value}e", "NaN", "Infinity", "1e999", "null", "true",
        "[]", "{}", f'"{value}"', f"[{value}]", f"{value}", "0", f"{value + 1}", f"{value - 1}", f"{value + 8}",
        f"{2**31}", f"{2**32}", f"{2**53}", f"{2**61}", f"{2**63 - 1}", f"{2**63}", f"{2**64 - 1}", f"{2**64}",
        f"{10**30}", "9" * 400]))


def anything(rng):
    return Raw(rng.choice([
        "null", "true", "0", "1.5", "-1", '""', '"F32"', '"x"', "[]", "[0]", "[0,0]", "{}", '{"a":"b"}', '{"F32":null}',
        '{"U8":{}}', "[" * 60 + "]" * 60, "[" * 200 + "]" * 200, '{"a":' * 150 + "1" + "}" * 150, "1e999", "nul",
        '"\\ud800"']))


def sound_header(rng, dtypes):
    header, begin = Object(), 0
    names = rng.sample(NAMES, rng.randrange(6))
    for name in names:
        dtype = rng.choice(dtypes)
        shape = [rng.choice([0, 1, 1, 2, 3, 4]) for _ in range(rng.randrange(4))]
        bits = DTYPES[dtype]
        for size in shape:
            bits *= size
        if bits % 8:
            shape.insert(rng.randrange(len(shape) + 1), 4)
            bits *= 4
        end = begin + bits // 8
        fields = Object([["dtype", dtype], ["shape", shape], ["data_offsets", [begin, end]]])
        rng.shuffle(fields)
        header.append([name, fields])
        begin = end
    if rng.random() < .5:
        rng.shuffle(header)
    if rng.random() < .4:
        keys = rng.sample(NAMES, rng.randrange(4))
        header.insert(rng.randrange(len(header) + 1), ["__metadata__", Object([[k, rng.choice(NAMES)] for k in keys])])
    return header, begin


# Changes of the tree. Each gets the header and one of its tensors as a [name, fields] pair.

def field_of(tensor, name):
    return next((f for f in tensor[1] if f[0] == name), None) if isinstance(tensor[1], Object) else None


def change_offset(rng, header, tensor):
    offsets = field_of(tensor, "data_offsets")
    if offsets and isinstance(offsets[1], list) and offsets[1]:
        i = rng.randrange(len(offsets[1]))
        if isinstance(offsets[1][i], int):
            offsets[1][i] = numbers(rng, offsets[1][i])


def change_offsets(rng, header, tensor):
    offsets = field_of(tensor, "data_offsets")
    if offsets and isinstance(offsets[1], list) and len(offsets[1]) == 2:
        begin, end = offsets[1]
        offsets[1] = rng.choice([[], [begin], [end, begin], [begin, end, end], [begin, begin], [end, end], [0, end],
                                 [begin, end, Raw("null")], Raw(f'{{"0":{begin},"1":{end}}}'), Raw("null"),
                                 anything(rng)])


def change_shape(rng, header, tensor):
    shape = field_of(tensor, "shape")
    if shape and isinstance(shape[1], list):
        sizes = shape[1]
        choice = rng.randrange(7)
        if choice == 0 and sizes and isinstance(sizes[0], int):
            i = rng.randrange(len(sizes))
            sizes[i] = numbers(rng, sizes[i]) if isinstance(sizes[i], int) else sizes[i]
        elif choice == 1 and sizes:
            sizes.pop(rng.randrange(len(sizes)))
        elif choice == 2:
            sizes.insert(rng.randrange(len(sizes) + 1), 1)
        elif choice == 3:
            sizes.insert(rng.randrange(len(sizes) + 1), rng.choice([0, 2, 2**32, 2**63, 2**64 - 1]))
        elif choice == 4:
            sizes += rng.choice([[2**32, 2**32], [2**32, 2**32, 0], [2**61], [1] * 40])
        elif choice == 5:
            rng.shuffle(sizes)
        else:
            shape[1] = anything(rng)


def change_dtype(rng, header, tensor):
    dtype = field_of(tensor, "dtype")
    if dtype and isinstance(dtype[1], str) and not isinstance(dtype[1], Raw):
        name = dtype[1]
        dtype[1] = rng.choice([rng.choice(list(DTYPES)), name.lower(), name + " ", name[:-1], "", "F128", "BF8",
                               Raw(f'{{"{name}":null}}'), Raw(f'{{"{name}":{{}}}}'), Raw(f'{{"{name}":[]}}'),
                               Raw(f'["{name}"]'), anything(rng)])


def change_fields(rng, header, tensor):
    fields = tensor[1]
    if not isinstance(fields, Object) or not fields:
        return
    choice = rng.randrange(4)
    i = rng.randrange(len(fields))
    if choice == 0:
        fields.pop(i)
    elif choice == 1:
        fields.insert(rng.randrange(len(fields) + 1), list(fields[i]))
    elif choice == 2:
        fields[i] = [rng.choice(["Dtype", "shapes", "offsets", fields[i][0] + " "]), fields[i][1]]
    else:
        for _ in range(rng.choice([1, 1, 2])):
            fields.insert(rng.randrange(len(fields) + 1), [rng.choice(["x", "", "strides"]), anything(rng)])


def change_tensor(rng, header, tensor):
    fields = tensor[1]
    if isinstance(fields, Object) and len(fields) == 3 and rng.random() < .5:
        values = [f[1] for name in FIELDS for f in fields if f[0] == name]
        if rng.random() < .3:
            rng.shuffle(values)
        tensor[1] = values[:rng.choice([3, 3, 3, 2])]
    else:
        tensor[1] = anything(rng)


def change_names(rng, header, tensor):
    choice = rng.randrange(5)
    other = rng.choice(header)
    if choice == 0:
        header.insert(rng.randrange(len(header) + 1), [tensor[0], tensor[1]])
    elif choice == 1:
        tensor[0] = other[0]
    elif choice == 2:
        tensor[0] = rng.choice(["__metadata__", "__METADATA__", "__metadata__ ", ""])
    elif choice == 3:
        header.remove(tensor)
    else:
        header.insert(0, [tensor[0], Object([["dtype", "U8"], ["shape", [0]], ["data_offsets", [0, 0]]])])


def change_metadata(rng, header, tensor):
    found = [pair for pair in header if pair[0] == "__metadata__"]
    value = rng.choice([Raw("null"), Raw("[]"), Raw('"a"'), Object(), Object([["a", "b"], ["a", "c"]]),
                        Object([["a", "b"], ["a", "b"]]), Object([["a", anything(rng)]]), Object([["a", Raw("1")]]),
                        Object([["b", Raw("null")], ["a", "b"]]), Object([["n", "x" * 300]])])
    if found and rng.random() < .8:
        found[0][1] = value
    else:
        header.insert(rng.randrange(len(header) + 1), ["__metadata__", value])


TREE_CHANGES = [change_offset, change_offsets, change_shape, change_dtype, change_fields, change_tensor, change_names,
                change_metadata]


def write_string(rng, text, loose):
    if not loose or rng.random() < .6:
        return json.dumps(text, ensure_ascii=rng.random() < .5)
    units = text.encode("utf-16-be")
    codes = ["\\u%02x%02x" % (units[i], units[i + 1]) for i in range(0, len(units), 2)]
    return '"' + "".join(code.upper().replace("U", "u", 1) if rng.random() < .3 else code for code in codes) + '"'


def write(rng, value, loose):
    def space():
        return rng.choice(["", "", " ", "\n", "\t", "\r\n", "  "]) if loose else ""

    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        return write_string(rng, value, loose)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Object):
        pairs = [space() + write_string(rng, k, loose) + space() + ":" + space() + write(rng, v, loose) + space()
                 for k, v in value]
        return "{" + (",".join(pairs) or space()) + "}"
    return "[" + (",".join(space() + write(rng, v, loose) + space() for v in value) or space()) + "]"


SNIPPETS = [
    b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"0", b"1", b"-", b".", b"e5", b" ", b"\n", b"\0", b"\x1f", b"\x0c", b"\x7f",
    b"\x80", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\u004", b"\\ud800",
    b"\\udc00", b"\\ud83d\\udc1a", b"\\ud800\\ud800", b"\\ud800\\ue000", b"\\ud800a", b"\\x41",
    b"\\/", b"\\b", b"/*a*/", b"null", b"true", b'"a":1,', b"NaN",
]


def change_text(rng, text):
    at = rng.randrange(len(text) + 1)
    choice = rng.randrange(6)
    if choice == 0:
        return text[:at]
    if choice == 1:
        return text[:at] + rng.choice(SNIPPETS) + text[at:]
    if choice == 2:
        return text[:at] + text[at + rng.choice([1, 1, 1, 2, 5]):]
    if choice == 3:
        return text[:at] + rng.choice(SNIPPETS) + text[at + 1:]
    if choice == 4:
        return text[:at] + text[at:at + rng.randrange(1, 60)] + text[at:]
    return text[:at] + bytes([rng.randrange(256)]) + text[at + 1:]


def frame(rng, text):
    """What may stand around the object; mostly nothing or spaces."""
    choice = rng.random()
    if choice < .5:
        return text
    if choice < .8:
        return text + b" " * rng.randrange(9)
    before = rng.choice([b"", b"", b" ", b"\n\t\r ", b"\xef\xbb\xbf", b"\0", b"x"])
    after = rng.choice([b"", b"", b"\n\t\r ", b"\0", b"\0" * 5, b"\x0c", b"{}", b",", b"}", b"x", b"\xa0"])
    return before + text + after


def change_file(rng, length, text, data):
    choice = rng.randrange(8)
    if choice == 0:
        data = data[:-1]
    elif choice == 1:
        data += b"\0" * rng.choice([1, 8])
    elif choice == 2:
        length += rng.choice([-1, 1, -2, 8])
    elif choice == 3:
        length = rng.choice([0, 1, 2**31, 10**8, 10**8 + 1, 2**63, 2**64 - 1, 2**64 - 8])
    elif choice == 4:
        data = b""
    elif choice == 5:
        data += data
    content = struct.pack("<Q", max(length, 0)) + text + data
    return content[:rng.randrange(len(content))] if choice == 6 else content


def cases(rng, count, dtypes):
    """`count` files as bytes, of these dtypes but where a change brings in another."""
    dtypes = sorted(dtypes)
    for _ in range(count):
        header, data_bytes = sound_header(rng, dtypes)
        for _ in range(rng.choice([0, 0, 1, 1, 1, 1, 2])):
            tensors = [pair for pair in header if pair[0] != "__metadata__"]
            if tensors:
                rng.choice(TREE_CHANGES)(rng, header, rng.choice(tensors))
            else:
                change_metadata(rng, header, None)
        text = write(rng, header, rng.random() < .5).encode()
        if rng.random() < .25:
            text = change_text(rng, text)
        text = frame(rng, text)
        data = bytes(i & 255 for i in range(data_bytes))
        if rng.random() < .1:
            yield change_file(rng, len(text), text, data)
        else:
            yield struct.pack("<Q", len(text)) + text + data
