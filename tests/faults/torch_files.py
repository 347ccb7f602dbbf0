# SPDX-License-Identifier: Apache-2.0
"""Files as torch.save writes them, byte by byte, so that every byte of them can be wrong."""
import pickle
import struct
import zlib


class Global:
    """A name in a pickle: the opcode GLOBAL."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Reduce:
    """A call in a pickle: the opcode REDUCE."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Persistent:
    """A persistent id: the opcode BINPERSID."""

    def __init__(self, *parts):
        self.parts = parts


class Raw:
    """Opcodes as they are."""

    def __init__(self, code):
        self.code = code


def code(value):
    """Opcodes of protocol 2 that leave `value` on the stack."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Global):
        return b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n"
    if isinstance(value, Reduce):
        return code(value.function) + code(tuple(value.arguments)) + b"R"
    if isinstance(value, Persistent):
        return code(tuple(value.parts)) + b"Q"
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value) if -1 << 31 <= value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(code, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(code(key) + code(inner) for key, inner in value.items()) + b"u"
    raise TypeError(value)


def program(value):
    return b"\x80\x02" + code(value) + b"."


def storage(key="0", elements=6, kind=Global("torch", "FloatStorage")):
    return Persistent("storage", kind, key, "cpu", elements)


def tensor(shape=(2, 3), strides=(3, 1), offset=0, of=None, function="_rebuild_tensor_v2"):
    return Reduce(Global("torch._utils", function), of or storage(), offset, shape, strides, False, Reduce(Global("collections", "OrderedDict")))


VALUES = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


def zipped(entries, method=0, crc=None, directory=None, flags=0, zip64=False):
    """A zip file of (name, bytes); `directory` may change the central entries (name, method, crc, size, place) before they are written."""
    text, central = b"", []
    for name, content in entries:
        name = name.encode() if isinstance(name, str) else name
        check = zlib.crc32(content) if crc is None else crc
        central.append([name, method, check, len(content), len(text)])
        text += struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, flags, method, 0, 0, check, len(content), len(content), len(name), 0) + name + content
    if directory:
        directory(central)
    begin = len(text)
    for name, method_, check, size, place in central:
        extra = b""
        if zip64:
            extra = struct.pack("<HHQQQ", 1, 24, size, size, place)
            size = place = 0xffffffff
        text += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, flags, method_, 0, 0, check, size, size, len(name), len(extra), 0, 0, 0, 0, place) + name + extra
    count, size = len(central), len(text) - begin
    if zip64:
        place = len(text)
        text += struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, size, begin)
        text += struct.pack("<IIQI", 0x07064b50, 0, place, 1)
        return text + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    return text + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, size, begin, 0)


def zip_file(pickled, storages=None, order=b"little", **options):
    """The layout since PyTorch 1.6 around a pickle."""
    entries = [("archive/data.pkl", pickled), ("archive/byteorder", order)]
    entries += [(f"archive/data/{key}", content) for key, content in (storages if storages is not None else {"0": VALUES}).items()]
    return zipped(entries + [("archive/version", b"3\n")], **options)


def legacy_file(pickled, storages=None, keys=None, version=1001):
    """The layout before it: pickles one after the other, then storages."""
    storages = storages if storages is not None else {"0": (6, VALUES)}
    text = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(version, 2)
    text += pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2)
    text += pickled + pickle.dumps(list(storages) if keys is None else keys, 2)
    return text + b"".join(struct.pack("<q", elements) + content for elements, content in storages.values())


STORAGES = {"F64": ("DoubleStorage", 8), "F32": ("FloatStorage", 4), "F16": ("HalfStorage", 2), "BF16": ("BFloat16Storage", 2), "I64": ("LongStorage", 8)}


def torch_file(tensors, wrap=lambda weights: weights, make=zip_file):
    """name -> (dtype, shape, bytes), as in programs.py, in a file of torch.save."""
    weights, storages = {}, {}
    for number, (name, (dtype, shape, content)) in enumerate(tensors.items()):
        kind, width = STORAGES[dtype]
        count = len(content) // width
        strides = tuple(1 if axis == len(shape) - 1 else shape[-1] for axis in range(len(shape)))  # of at most two axes
        weights[name] = tensor(tuple(shape), strides, 0, storage(str(number), count, Global("torch", kind)))
        storages[str(number)] = content if make is zip_file else (count, content)
    return make(program(wrap(weights)), storages)
