# SPDX-License-Identifier: Apache-2.0
"""Files that PyTorch itself wrote, in both of its layouts, read as PyTorch reads them: every element of every tensor."""
import argparse
import collections
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

import numpy
import torch

BUILD = pathlib.Path(__file__).resolve().parents[2] / os.environ.get("VCC_BUILD", "build")
READER = pathlib.Path(os.environ.get("VCC_READER", BUILD / "bin" / "tests" / "read_weights"))
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def tensors_of(path):
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    return {name: (tuple(entry["shape"]), content[8 + length:][slice(*entry["data_offsets"])]) for name, entry in header.items()}


def bytes_of(tensor):
    """What the reader leaves of a tensor: floats as f32."""
    tensor = tensor.detach()
    if tensor.dtype in FLOATS:
        tensor = tensor.float()
    return tuple(tensor.shape), tensor.contiguous().numpy().tobytes()


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vcc-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def read(self, path, inside=""):
        finished = subprocess.run([READER, "--to", self.folder, f"{path}{inside}"], capture_output=True, text=True)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        return finished.stdout.strip()

    def same(self, written, expected, inside="", **options):
        for layout in (True, False):
            path = self.folder / "x.pth"
            torch.save(written, path, _use_new_zipfile_serialization=layout, **options)
            self.assertEqual(self.read(path, inside), f"ok {len(expected)}")
            found = tensors_of(self.folder / "0.safetensors")
            self.assertEqual(set(found), set(expected))
            for name, tensor in expected.items():
                self.assertEqual(found[name], bytes_of(tensor), name)

    def refused(self, written, *words):
        for layout in (True, False):
            path = self.folder / "x.pth"
            torch.save(written, path, _use_new_zipfile_serialization=layout)
            line = self.read(path)
            self.assertTrue(line.startswith("refused"), line)
            for word in words:
                self.assertIn(word, line)

    def test_types(self):
        values = {str(dtype): torch.randn(7, 5).to(dtype) for dtype in FLOATS}
        values.update({str(dtype): torch.randint(0, 2 if dtype is torch.bool else 100, (3, 4)).to(dtype) for dtype in INTEGERS})
        special = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 6e-8, -6e-8, 65504.0, 1e-40])
        values.update({f"special {dtype}": special.to(dtype) for dtype in FLOATS})
        self.same(values, values)

    def test_shapes_and_views(self):
        whole = torch.randn(6, 8)
        values = {"whole": whole, "turned": whole.t(), "row": whole[2], "column": whole[:, 3], "every second": whole[::2, 1::3], "expanded": whole[:1].expand(4, 8),
                  "scalar": torch.tensor(3.5), "empty": torch.empty(0, 4), "axes": torch.randn(2, 3, 4, 5).permute(3, 1, 0, 2), "last": whole.flatten()[-1:]}
        self.same(values, values)

    def test_a_model(self):
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8))
        model[2].weight = torch.nn.Parameter(model[2].weight.t())
        model.tied = model[0]
        optimizer = torch.optim.AdamW(model.parameters())
        model[:3](torch.randn(3, 4)).sum().backward()
        optimizer.step()
        state = model.state_dict()
        self.assertTrue(hasattr(state, "_metadata"))
        self.same(state, state)
        scaler = {"scale": 65536.0, "growth": numpy.float64(2.0)}
        whole = {"model": state, "optimizer": optimizer.state_dict(), "scheduler": {"last": 3, "rates": [1e-4]}, "scaler": scaler, "args": argparse.Namespace(lr=1e-4, betas=(0.9, 0.99)),
                 "epoch": 2, "global_step": 7, "none": None, "device": torch.device("cpu"), "size": torch.Size([1, 2]), "dtype": torch.float16}
        self.same(whole, state)
        self.same(whole, {name[2:]: tensor for name, tensor in state.items() if name.startswith("0.")} and state, inside="::model")
        self.same({"state_dict": dict(model.named_parameters())}, dict(model.named_parameters()))
        self.same({"module": collections.OrderedDict(state)}, state)

    def test_protocols(self):
        values = {"w": torch.randn(300, 2), **{f"layers.{number}.weight": torch.randn(3) for number in range(400)}}
        for protocol in (2, 3, 4, 5):
            self.same(values, values, pickle_protocol=protocol)

    def test_parameters_with_attributes(self):
        parameter = torch.nn.Parameter(torch.randn(3))
        parameter.decay = False
        buffer = torch.randn(2)
        buffer.kind = "text"
        self.same({"p": parameter, "b": buffer}, {"p": parameter, "b": buffer})

    def test_big_endian(self):
        import zipfile
        values = {str(dtype): torch.randn(5, 3).to(dtype) for dtype in FLOATS}
        values["i"] = torch.arange(4)
        torch.save(values, self.folder / "little.pth")
        with zipfile.ZipFile(self.folder / "little.pth") as little, zipfile.ZipFile(self.folder / "big.pth", "w") as big:
            widths = [torch.empty(0, dtype=tensor.dtype).element_size() for tensor in values.values()]
            for name in little.namelist():
                content = little.read(name)
                if name.endswith("/byteorder"):
                    content = b"big"
                elif "/data/" in name:
                    width = widths[int(name.rsplit("/", 1)[1])]
                    content = numpy.frombuffer(content, f"u{width}").byteswap().tobytes()
                big.writestr(name, content)
        self.assertEqual(self.read(self.folder / "big.pth"), f"ok {len(values)}")
        found = tensors_of(self.folder / "0.safetensors")
        for name, tensor in values.items():
            self.assertEqual(found[name], bytes_of(tensor), name)

    def test_what_is_no_file_of_weights(self):
        self.refused(torch.nn.Linear(2, 2), "`torch.nn.modules.linear.Linear`, which is not among the names")
        self.refused({"w": torch.randn(2), "c": collections.Counter("aab")}, "`collections.Counter`")
        self.refused({"w": torch.randn(2, dtype=torch.complex64)}, "ComplexFloatStorage")
        self.refused({"w": torch.eye(3).to_sparse()}, "_rebuild_sparse_tensor")
        self.refused({"w": torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)}, "is refused")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), self.folder / "script.pth")
        self.assertIn("refused", self.read(self.folder / "script.pth"))

    def test_a_double_that_f32_cannot_hold(self):
        self.refused({"w": torch.tensor([1.0, 1e300], dtype=torch.float64)}, "`w` has at element 1 a number that f32 cannot hold")


if __name__ == "__main__":
    unittest.main()
