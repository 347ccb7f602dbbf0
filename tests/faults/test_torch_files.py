# SPDX-License-Identifier: Apache-2.0
"""Files that claim to be torch.save's and are made to do harm: refused in a sentence, nothing executed, little memory used."""
import json
import os
import pathlib
import pickle
import random
import struct
import tempfile
import unittest

import programs
from torch_files import Global, Persistent, Raw, Reduce, VALUES, code, legacy_file, program, storage, tensor, zip_file, zipped

READER = pathlib.Path(os.environ.get("VCC_READER", programs.BUILD / "bin" / "tests" / "read_weights"))
MEMORY = None if "VCC_READER" in os.environ else 1 << 30
BOTH = (zip_file, legacy_file)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vcc-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def read(self, contents, inside="", ending=".pth"):
        """What the reader says of each file."""
        paths = []
        for number, content in enumerate(contents):
            paths.append(self.folder / f"{number}{ending}")
            paths[-1].write_bytes(content)
        return self.read_paths([f"{path}{inside}" for path in paths])

    def read_paths(self, paths):
        lines = []
        for begin in range(0, len(paths), 500):
            some = paths[begin:begin + 500]
            options = {"memory": MEMORY} if MEMORY else {"memory": -1}
            ended = programs.run(READER, *some, **options)
            self.assertEqual(ended.code, 0, ended)
            lines += ended.out.splitlines()
        self.assertEqual(len(lines), len(paths))
        return lines

    def accepted(self, *contents, tensors=1, inside=""):
        for line in self.read(contents, inside):
            self.assertEqual(line, f"ok {tensors}")

    def refused(self, contents, *words, inside="", ending=".pth"):
        for line in self.read(contents, inside, ending):
            self.assertTrue(line.startswith("refused `"), line)
            for word in words:
                self.assertIn(word, line)

    def both(self, pickled, *words):
        self.refused([zip_file(pickled), legacy_file(pickled)], *words)


class Good(Case):
    def test_plain(self):
        pickled = program({"w": tensor()})
        self.accepted(zip_file(pickled), legacy_file(pickled), zip_file(pickled, zip64=True))

    def test_protocols(self):
        """Names by STACK_GLOBAL, strings and memo of protocol 4."""
        short = lambda text: b"\x8c" + bytes([len(text)]) + text
        body = code({"w": tensor()}).replace(code(Global("torch._utils", "_rebuild_tensor_v2")), short(b"torch._utils") + b"\x94" + short(b"_rebuild_tensor_v2") + b"\x93\x94")
        for version in (2, 3, 4, 5):
            frame = b"\x95" + struct.pack("<Q", len(body) + 1) if version >= 4 else b""
            self.accepted(zip_file(b"\x80" + bytes([version]) + frame + body + b"."))

    def test_what_stands_beside_the_weights(self):
        names = [Global("argparse", "Namespace"), Global("easydict", "EasyDict")]
        objects = [Raw(code(name) + b")\x81" + code({"lr": 1e-4, "betas": (0.9, 0.999)}) + b"b") for name in names]
        scalar = Reduce(Global("numpy.core.multiarray", "scalar"), Reduce(Global("numpy", "dtype"), "f8", False, True), Reduce(Global("_codecs", "encode"), "\0\0", "latin1"))
        whole = {"model": {"w": tensor()}, "optimizer": {"state": {0: {"exp_avg": tensor(), "step": 7}}}, "args": objects[0], "config": objects[1],
                 "best": scalar, "epoch": 3, "device": Reduce(Global("torch", "device"), "cpu")}
        self.accepted(zip_file(program(whole)), legacy_file(program(whole)))

    def test_choice_of_the_dictionary(self):
        inner = {"w": tensor(), "sub": {"v": tensor()}}
        for wrapped in (inner, {"model": inner}, {"state_dict": inner, "epoch": 1}, {"module": {"model": inner}, "optimizer": {}}, {"model": inner, "state_dict": {}}):
            self.accepted(zip_file(program(wrapped)), tensors=2)
        two = zip_file(program({"model": inner, "model_ema": inner, "state_dict": inner}))
        self.refused([two], "several dictionaries", "`model` (a dictionary), `model_ema` (a dictionary)")
        self.accepted(two, tensors=2, inside="::model_ema")
        self.accepted(two, tensors=1, inside="::model.sub")
        self.refused([two], "has no dictionary `ema`; there are `model`", inside="::ema")
        self.refused([two], "has no dictionary `x` in `model`", inside="::model.x")
        self.refused([zip_file(program({"net": inner}))], "no dictionary that is known to hold weights", "`net` (a dictionary)")
        self.refused([zip_file(program({}))], "no entries")
        for other in (7, "text", [tensor()], tensor(), None):
            self.refused([zip_file(program(other))], "but a dictionary of tensors is needed")


class Execution(Case):
    """Nothing of a file is executed: what would be is refused by its opcode or name, and by its place."""

    def test_names(self):
        for module, name in (("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "exec"), ("builtins", "getattr"), ("subprocess", "Popen"),
                             ("torch", "load"), ("torch.serialization", "load"), ("numpy", "load"), ("torch._utils", "_rebuild_tensor_v9"), ("torch._utils", "_rebuild_sparse_tensor"),
                             ("torch.storage", "_load_from_bytes"), ("collections", "OrderedDict.__init__"), ("torch.nn.modules.linear", "Linear"), ("", ""),
                             ("torch", "_utils._rebuild_tensor_v2"), ("pickle", "loads"), ("runpy", "run_path"), ("operator", "attrgetter")):
            with self.subTest(name=name):
                words = (f"uses `{module}.{name}`, which is not among the names of tensor files and is refused", "byte ")
                self.both(program({"w": Global(module, name)}), *words)
                self.both(program({"w": tensor(), "x": Reduce(Global(module, name), "touch " + str(self.folder / "owned"))}), *words)
                short = lambda text: b"\x8c" + bytes([len(text)]) + text.encode()
                self.both(b"\x80\x04" + short(module) + short(name) + b"\x93.", *words)
        self.assertFalse((self.folder / "owned").exists())

    def test_python_makes_them(self):
        class Harm:
            def __init__(self, call):
                self.call = call

            def __reduce__(self):
                return self.call
        owned = str(self.folder / "owned")
        for call in ((os.system, (f"touch {owned}",)), (eval, (f"open({owned!r}, 'w')",)), (exec, ("import os",)), (open, (owned, "w")), (__import__, ("os",)),
                     (getattr, (os, "system"))):
            for protocol in (2, 3, 4, 5):
                if call[0] is getattr and protocol < 4:
                    call = (getattr, ("x", "join"))
                self.both(pickle.dumps({"w": Harm(call)}, protocol), "is refused")
        self.assertFalse((self.folder / "owned").exists())

    def test_opcodes(self):
        system = b"cposix\nsystem\n"
        for name, opcodes in (("INST", b"(X\x02\0\0\0lsiposix\nsystem\n"), ("OBJ", b"(" + code({}) + b"o"), ("EXT1", b"\x82\x01"), ("EXT2", b"\x83\x01\0"),
                              ("EXT4", b"\x84\x01\0\0\0"), ("PERSID", b"Pstorage\n"), ("INT", b"I1\n"), ("LONG", b"L1L\n"), ("FLOAT", b"F1.0\n"), ("STRING", b"S'a'\n"),
                              ("UNICODE", b"Va\n"), ("GET", b"g0\n"), ("PUT", b"Np0\n"), ("DUP", b"N2"), ("DICT", b"(d"), ("LIST", b"(l"), ("EMPTY_SET", b"\x8f"),
                              ("FROZENSET", b"(\x91"), ("NEWOBJ_EX", b"))}\x92"), ("BYTEARRAY8", b"\x96" + bytes(8)), ("NEXT_BUFFER", b"\x97"), ("READONLY_BUFFER", b"\x98")):
            with self.subTest(name=name):
                self.both(b"\x80\x02" + opcodes + b".", f"the opcode {name}, which no checkpoint needs and is refused")
        for value in set(range(256)) - set(b".(0123456789abcdeghijlopqrstuABCFGIJKLMNPQRSTUVX)]}\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"):
            self.both(b"\x80\x02" + bytes([value]) + b".", f"0x{value:02x}, which is no opcode")
        self.both(b"\x80\x02" + system + b"X\x02\0\0\0ls\x85R.", "`posix.system`")

    def test_known_names_in_wrong_places(self):
        ordered, of_float = Global("collections", "OrderedDict"), Global("torch", "FloatStorage")
        for value in (Reduce(of_float, 10 ** 12), Reduce(Global("torch.storage", "UntypedStorage"), 10 ** 12), Reduce(Global("torch", "Tensor"), 10 ** 12),
                      Reduce(Global("torch", "float32")), Reduce("text"), Reduce(7), Reduce(tensor()), Raw(code(of_float) + b")\x81"), Raw(code("x") + b")\x81"),
                      Raw(code(Global("torch._utils", "_rebuild_tensor_v2")) + b")\x81"), Raw(code(tensor()) + code({}) + b"b"), Raw(code(of_float) + code({}) + b"b"),
                      Raw(code((1,)) + code({"a": 1}) + b"b"), Raw(code({}) + code(1) + b"a"), Raw(code([]) + code(1) + code(2) + b"s"), Raw(code(of_float) + b"N" + b"R"),
                      Reduce(ordered, 7), Reduce(ordered, [7]), Reduce(ordered, [[1, 2, 3]]), Reduce(ordered, [], []), Reduce(Global("torch._utils", "_rebuild_parameter"), 7),
                      Reduce(Global("torch._utils", "_rebuild_parameter")), Reduce(Global("torch._tensor", "_rebuild_from_type_v2"), Global("torch._tensor", "_rebuild_from_type_v2"), Global("torch", "Tensor"), ()),
                      Reduce(Global("torch._tensor", "_rebuild_from_type_v2"), Global("torch._utils", "_rebuild_tensor_v2"), 7, ()),
                      Reduce(Global("torch", "Size"), ["a"]), Reduce(Global("torch", "Size"))):
            self.both(program({"w": tensor(), "x": value}), "byte ")

    def test_persistent_ids(self):
        of_float = Global("torch", "FloatStorage")
        for parts in ((), ("storage",), ("module", of_float, "0", "cpu", 6), (7, of_float, "0", "cpu", 6), ("storage", 7, "0", "cpu", 6), ("storage", of_float, 7, "cpu", 6),
                      ("storage", of_float, "0", "cpu", "6"), ("storage", of_float, "0", "cpu", -6), ("storage", of_float, "0", "cpu", 1 << 62),
                      ("storage", Global("collections", "OrderedDict"), "0", "cpu", 6), ("storage", of_float, "0", "cpu", 6, 7), ("storage", of_float, "0", "cpu", 6, ("v", 1)),
                      ("storage", of_float, "0", "cpu", 6, ("v", 5, 2)), ("storage", of_float, "0", "cpu", 6, ("v", 1 << 62, 1 << 62)), ("storage", of_float, "0", "cpu", 6, (1, 0, 1))):
            self.both(program({"w": tensor(of=Persistent(*parts))}), "byte ")
        self.both(program({"w": tensor(of=Raw(b"}Q"))}), "persistent id")


class Extents(Case):
    def test_tensors_outside_of_their_storage(self):
        big = 1 << 62
        for shape, strides, offset in (((2, 4), (4, 1), 0), ((2, 3), (3, 1), 1), ((7,), (1,), 0), ((1,), (1,), 6), ((), (), 6), ((2,), (6,), 0), ((2,), (big,), 0), ((3,), (big,), 0),
                                       ((1,), (1,), big), ((1,), (1,), (1 << 63) - 1), ((0,), (1,), 7), ((big, big), (0, 0), 0), ((1 << 40, 1 << 40), (0, 0), 0),
                                       ((2, 3), (3,), 0), ((2,), (3, 1), 0), ((-1,), (1,), 0), ((2,), (-1,), 1), ((2,), (1,), -1), ((1.5,), (1,), 0), (("a",), (1,), 0), ((1,) * 65, (1,) * 65, 0), (7, 1, 0)):
            with self.subTest(shape=str(shape)[:40], strides=str(strides)[:40], offset=offset):
                self.both(program({"w": tensor(shape, strides, offset)}), "byte ")

    def test_a_storage_larger_than_what_lies_there(self):
        for elements in (0, 5, 7, 1 << 40):
            pickled = program({"w": tensor((1,) if elements else (0,), (1,), of=storage(elements=elements))})
            self.refused([zip_file(pickled)], "has a storage `0` of 24 bytes, but its tensors need")
            self.refused([legacy_file(pickled)], "has a storage `0` of 6 elements, but its tensors need")

    def test_a_huge_tensor_of_one_element(self):
        """Expanded by strides of zero it lies inside, takes nothing until it is read, and its shape is known by then."""
        self.accepted(zip_file(program({"w": tensor((1 << 50,), (0,))})))

    def test_storages_that_are_not_there(self):
        for key in ("1", "../0", "/etc/passwd", "data.pkl", "", "0\0", "x" * 1000):
            self.refused([zip_file(program({"w": tensor(of=storage(key))}))], "has no storage")
        pickled = program({"w": tensor()})
        self.refused([legacy_file(pickled, keys=["1"])], "lists a storage `1`, which no tensor uses")
        self.refused([legacy_file(pickled, keys=[])], "behind its last storage")
        self.refused([legacy_file(pickled, {}, [])], "has no storage `0`")
        self.refused([legacy_file(pickled, keys=["0", "0"])], "breaks off")
        self.refused([legacy_file(pickled, {"0": (6, VALUES), "1": (6, VALUES)}, ["0", "0"])], "lists the storage `0` twice")
        self.refused([legacy_file(pickled, keys=7), legacy_file(pickled, version=1000)], "")

    def test_keys(self):
        self.both(program({7.5: tensor()}), "has a number for the key of a tensor")
        self.both(program({None: tensor()}), "has None for the key")
        self.both(program({"w" * 2000: tensor()}), "a key of 2000 bytes")
        self.both(program({"a": tensor(), "b": [tensor()]}), "keeps tensors in a list under `b`")
        self.both(program(Raw(b"}(" + 2 * (code("w") + code(tensor())) + b"u")), "names `w` twice")
        self.both(program(Raw(b"}(" + code("a.b") + code(tensor()) + code("a") + code({"b": tensor()}) + b"u")), "names `a.b` twice")
        self.accepted(zip_file(program({"\x1b[31m`\n": tensor()})))


class Bombs(Case):
    """Small files that would be large things, and large ones that are nothing: all end in little memory and time."""

    def test_nesting(self):
        deep = b"]" * 100000 + b"a" * 99999
        self.accepted(
            zip_file(b"\x80\x02}" + code("w") + code(tensor()) + b"s" + code("x") + deep + b"s."))
        level = {"w": tensor()}
        for _ in range(40):
            level = {"model": level}
        self.both(program(level), "")
        level = {"w": tensor()}
        for _ in range(40):
            level = {"a": level}
        self.both(program({"v": tensor(), "b": level}), "nested more than 16 deep")

    def test_circles(self):
        circle = b"}q\x00(" + code("w") + code(tensor()) + code("x") + b"h\x00u"
        self.both(b"\x80\x02" + circle + b".", "nested more than 16 deep")
        loop = b"}(" + code("w") + code(tensor()) + code("x") + b"]q\x01(h\x01h\x01eu"
        self.accepted(zip_file(b"\x80\x02" + loop + b"."))

    def test_dictionaries_in_dictionaries(self):
        """Each holds the one before it ten times: ten to the power of fifteen entries."""
        body = b"}q\x00(" + code("a") + b"Nu"
        for number in range(1, 16):
            body += b"}q" + bytes([number]) + b"(" + b"".join(code(str(key)) + b"h" + bytes([number - 1]) for key in range(10)) + b"u"
        whole = b"\x80\x02(" + body + b"1}(" + code("w") + code(tensor()) + code("x") + b"h\x0fu."
        self.both(whole, "entries")

    def test_lengths(self):
        for opcode, size in ((b"X", "<I"), (b"B", "<I"), (b"T", "<I"), (b"\x8b", "<I"), (b"\x8d", "<Q"), (b"\x8e", "<Q"), (b"\x95", "<Q")):
            for length in (1000, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1):
                if length >> (8 * struct.calcsize(size)) == 0:
                    self.both(b"\x80\x04" + opcode + struct.pack(size, length) + b".", "byte ")
        self.both(b"\x80\x02c" + b"a" * 100000, "a name without an end")

    def test_memo(self):
        for index in (1 << 22, (1 << 32) - 1):
            self.both(b"\x80\x02Nr" + struct.pack("<I", index) + b".", f"memo place {index}, more than")
        self.accepted(zip_file(b"\x80\x02Nr" + struct.pack("<I", (1 << 22) - 1) + b"0" + code({"w": tensor()}) + b"."))
        self.both(b"\x80\x02h\x00.", "memo place 0 is empty")
        self.both(b"\x80\x02j" + struct.pack("<I", 1 << 31) + b".", "is empty")

    def test_many_values(self):
        megabyte = 1 << 20
        self.both(b"\x80\x02" + b"]" * (5 * megabyte) + b".", "more than")
        self.both(b"\x80\x02" + b"(" * (5 * megabyte) + b".", "more than")
        self.both(b"\x80\x02" + b"N" * (5 * megabyte) + b".", "more than")
        self.both(b"\x80\x02" + b"N0" * (5 * megabyte) + b".", "more than 4194304 values")
        self.both(b"\x80\x02Nq\x00]q\x01" + (b"(" + b"h\x00" * 1000 + b"e") * 20000 + b".", "entries of containers")
        self.both(b"\x80\x02]q\x00" + b"h\x00\x85" * (2 * megabyte), "")

    def test_the_stack(self):
        for opcodes in (b".", b"0.", b"R.", b"a.", b"e.", b"u.", b"s.", b"t.", b"1.", b"\x85.", b"\x87.", b"b.", b"Q.", b"\x81.", b"\x93.", b"(.", b"(0.", b"Nt.", b"(Na.", b"NN.", b"}NNNu."):
            self.both(b"\x80\x02" + opcodes, "byte ")
        for version in (0, 1, 6, 255):
            self.both(b"\x80" + bytes([version]) + b"N.", f"protocol {version} of pickles is not read")
        self.refused([zip_file(b""), zip_file(b"\x80"), zip_file(program({"w": tensor()}) + b"more")], "")


class Archives(Case):
    def setUp(self):
        super().setUp()
        self.entries = [("archive/data.pkl", program({"w": tensor()})), ("archive/data/0", VALUES)]

    def test_entries_that_lie_wrong(self):
        def change(number, field, value):
            def edit(central):
                central[number][field] = value
            return edit
        good = zipped(self.entries)
        self.accepted(good)
        first = self.entries[0]
        for edit in (change(1, 4, 0), change(1, 4, 7), change(1, 4, 10 ** 9), change(1, 4, 0xfffffffe), change(1, 3, 10 ** 9), change(1, 3, 0xfffffffe), change(0, 3, 1 << 20),
                     change(1, 0, b"archive/data/1"), change(1, 0, first[0].encode()), change(1, 2, 7), change(0, 2, 7), change(1, 1, 8), change(1, 1, 99), change(1, 3, 23), change(1, 3, 25)):
            self.refused([zipped(self.entries, directory=edit)], "")
        self.refused([zipped(self.entries, directory=lambda central: central.append(list(central[1])))], "")
        overlap = lambda central: central.append([b"archive/data/9", *central[1][1:]])
        self.refused([zipped(self.entries, directory=overlap)], "")

    def test_names_that_lead_away(self):
        for name in ("../x", "archive/../../etc/passwd", "/etc/passwd", "archive\\data\\1", "archive/data/..", "..", "", b"archive/\0data", "x" * 2000):
            self.refused([zipped([*self.entries, (name, b"1")])], "")
        self.accepted(zipped([*self.entries, ("archive/..data/x..", b"1")]))

    def test_not_as_torch_writes_them(self):
        self.refused([zipped(self.entries, method=8)], "has a compressed entry")
        self.refused([zipped(self.entries, flags=1)], "has an encrypted entry")
        self.refused([zipped(self.entries, crc=7)], "does not have the checksum it was written with")
        self.refused([zipped(self.entries, directory=lambda central: central.append(central[0]))], "twice")
        self.refused([zipped([("a/b/data.pkl", b"N."), ("data.pkl", b"N.")])], "holds no `data.pkl`")
        self.refused([zipped([*self.entries, ("other/data.pkl", b"N.")])], "holds two `data.pkl`")
        self.refused([b"PK\x03\x04" + bytes(100)], "has no directory of zip entries at its end")
        self.refused([zip_file(program({"w": tensor()}), order=b"middle")], "has the byte order `middle`")
        damaged = bytearray(zipped(self.entries))
        damaged[bytes(damaged).index(VALUES)] ^= 1
        self.refused([bytes(damaged)], "is damaged: its entry `archive/data/0` does not have the checksum")

    def test_no_torch_file(self):
        for ending in (".pth", ".pt", ".bin", ".ckpt"):
            self.refused([b"", b"P", b"hello", b"ustar" * 200, b"\x80\x02", bytes(100), pickle.dumps({"a": 1})], "is not what torch.save writes", ending=ending)

    def test_zip64(self):
        for place in range(200):
            content = bytearray(zip_file(program({"w": tensor()}), zip64=True))
            content[-1 - place] ^= 0xff
            self.read([bytes(content)])


class Broken(Case):
    def test_broken_off_at_every_byte(self):
        pickled = program({"model": {"w": tensor(), "v": tensor((3,), (1,), 3)}, "epoch": 7})
        for make in BOTH:
            whole = make(pickled)
            for line in self.read([whole[:length] for length in range(len(whole))]):
                self.assertTrue(line.startswith("refused "), line)
        for line in self.read([zip_file(pickled[:length]) for length in range(len(pickled))]):
            self.assertTrue(line.startswith("refused "), line)

    def test_mutations(self):
        """Any bytes may change: the file is read, or refused in a sentence."""
        seed = programs.chosen_seed()
        generator = random.Random(seed)
        whole = {"model": {"w": tensor(), "v": tensor((3,), (1,), 3)}, "args": Raw(code(Global("argparse", "Namespace")) + b")\x81" + code({"a": 1}) + b"b"), "epoch": 7}
        ok = 0
        for make in BOTH:
            mutated = []
            for _ in range(1500):
                pickled = bytearray(program(whole))
                for _ in range(generator.randrange(1, 4)):
                    pickled[generator.randrange(len(pickled))] = generator.choice([generator.randrange(256), *b"NRQbt(}]su0h.\x81\x85"])
                content = bytearray(make(bytes(pickled)))
                if generator.random() < 0.3:
                    content[generator.randrange(len(content))] = generator.randrange(256)
                mutated.append(bytes(content))
            try:
                lines = self.read(mutated)
            except AssertionError as error:
                raise AssertionError(f"VCC_TEST_SEED={seed}: {error}") from error
            self.assertTrue(all(line.startswith(("ok ", "refused `")) for line in lines), f"VCC_TEST_SEED={seed}")
            ok += sum(line.startswith("ok ") for line in lines)
        self.assertGreater(ok, 5, f"VCC_TEST_SEED={seed}")


class Folders(Case):
    """Folders as Hugging Face keeps them: indices, shards, single files."""

    def write(self, name, content):
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    def shard(self, name, *keys):
        if name.endswith(".bin"):
            return self.write(name, zip_file(program({key: tensor() for key in keys})))
        programs.write_tensors(self.folder / name, {key: ("F32", (2, 3), VALUES) for key in keys})

    def says(self, wanted, *words, path=""):
        line, = self.read_paths([self.folder / path])
        self.assertTrue(line.startswith(wanted), line)
        for word in words:
            self.assertIn(word, line)

    def test_shards(self):
        for index, ending in (("model.safetensors.index.json", "safetensors"), ("pytorch_model.bin.index.json", "bin")):
            for path in list(self.folder.iterdir()):
                path.unlink()
            one, two = f"m-1-of-2.{ending}", f"m-2-of-2.{ending}"
            self.shard(one, "a", "b")
            self.shard(two, "c")
            self.write(index, {"metadata": {"total_size": 72}, "weight_map": {"a": one, "b": one, "c": two}})
            self.write("training_args.bin", b"no weights")
            self.says("ok 3")
            self.says("ok 3", path=index)
            self.shard(two, "c", "b")
            self.says("refused", f"{two}` holds `b`, which another shard holds too", one)
            self.shard(two, "d")
            self.says("refused", f"says that `c` is in `{two}`, but it is not")
            self.shard(two, "c")
            self.write(index, {"weight_map": {"a": one, "b": two, "c": two}})
            self.says("refused", f"says that `b` is in `{two}`, but it is in", one)
            (self.folder / two).unlink()
            self.says("refused", f"names 1 of 2 shards that is not there: `{two}`")
            for shard in ("../" + one, "/" + one, "..", ".", "", "x/" + one):
                self.write(index, {"weight_map": {"a": shard}})
                self.says("refused", "which is not beside it")
            for content in (b"", b"{", [], {}, {"weight_map": 7}, {"weight_map": {"a": 7}}, {"weight_map": {}}):
                self.write(index, content)
                self.says("refused", index)

    def test_which_files(self):
        self.says("refused", "without `.safetensors` files")
        self.write("config.json", {})
        self.write("training_args.bin", b"no weights")
        self.says("refused", "without `.safetensors` files")
        self.shard("pytorch_model.bin", "a")
        self.says("ok 1")
        self.shard("x.safetensors", "a", "b")
        self.says("ok 2")
        self.shard("model.safetensors", "a", "b", "c")
        self.says("ok 3")

    def test_several_indices(self):
        self.write("a.safetensors.index.json", {"weight_map": {}})
        self.write("b.safetensors.index.json", {"weight_map": {}})
        self.says("refused", "has several indices")

    def test_the_content_says_what_a_file_is(self):
        self.write("model.safetensors", zip_file(program({"a": tensor()})))
        self.says("ok 1")
        self.shard("model.safetensors", "a")
        self.says("refused", "has no dictionary `x` inside", path="model.safetensors::x")


if __name__ == "__main__":
    unittest.main()
