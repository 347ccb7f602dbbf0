# SPDX-License-Identifier: Apache-2.0
"""Clips that are folders of frames, in a program: the frames that a record means reach the step, and a frame that is missing ends it."""
import json
import pathlib
import struct
import unittest

import programs


class Folders(unittest.TestCase):
    def setUp(self):
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        self.data = pathlib.Path(scratch.name)
        records = []
        for number in range(4):
            frames = self.data / "frames" / str(number)
            frames.mkdir(parents=True)
            # Frame f of clip n is gray of 4 (12 n + f).
            programs.succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color=black:size=8x8:rate=1:duration=12,format=rgb24,"
                             f"geq=r='4*({12 * number}+N)':g='4*({12 * number}+N)':b='4*({12 * number}+N)'", frames / "%04d.png")
            records.append({"video": str(number), "label": "all"} if number % 2 else {"video": str(number), "label": "some", "start": 1.5, "end": 4.5})
        (self.data / "moments.json").write_text(json.dumps(records))

    def train(self, *options):
        return programs.run(programs.compiled("folders"), "--stage", "1", "--data", self.data, "--out", self.data / "out", "--threads", "1", *options)

    def test_frames_by_count_and_by_seconds(self):
        ended = self.train("--dump", "0", "--max-steps", "1")
        self.assertEqual(ended.code, 0, ended)
        tensors, _ = programs.read_tensors(self.data / "out" / "classify" / "dump" / "step-000000.safetensors")
        pixels, kinds = tensors["input/0/clip.pixels"], struct.unpack("4i", tensors["input/0/kind"][2])
        self.assertEqual(pixels[1], (4, 3, 3, 8, 8))
        seen = set()
        for row, kind in enumerate(kinds):
            values = [pixels[2][(row * 3 + t) * 192] // 4 for t in range(3)]
            clip = values[0] // 12
            seen.add(clip)
            # 12 frames: segments 0..3, 4..7, 8..11; from frame 3 on six: 3..4, 5..6, 7..8; the middle of each, rounded down.
            self.assertEqual([value - 12 * clip for value in values], [1, 5, 9] if kind else [3, 5, 7])
        self.assertEqual(seen, {0, 1, 2, 3})

    def test_a_missing_frame_is_named(self):
        (self.data / "frames" / "2" / "0007.png").unlink()
        ended = self.train()
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("frames/2: frame 7 is missing: `0006.png` is followed by `0008.png`", ended.err)


if __name__ == "__main__":
    unittest.main()
