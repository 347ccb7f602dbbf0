#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the data of the shapes classifier: PNG images of one shape each and their classes in train.json.

    make_data.py --out DIR [--seed N] [--count N]

Needs python3 only; the PNG files are written here.
"""
import argparse
import json
import os
import random
import struct
import zlib

SIDE = 32
SHAPES = ["circle", "square", "triangle", "cross"]


def inside(shape, dx, dy, r):
    """Whether the point (dx, dy) from the centre lies in the shape of size r; y grows downwards."""
    if shape == "circle":
        return dx * dx + dy * dy <= r * r
    if shape == "square":
        return max(abs(dx), abs(dy)) <= 0.86 * r
    if shape == "triangle":
        down = dy + 0.875 * r
        return 0 <= down <= 1.75 * r and abs(dx) <= 1.1 * r * down / (1.75 * r)
    return (abs(dx) <= 0.33 * r and abs(dy) <= r) or (abs(dy) <= 0.33 * r and abs(dx) <= r)


def draw(shape, generator):
    """RGB bytes of one image, row by row."""
    r = generator.uniform(0.22, 0.34) * SIDE
    x, y = generator.uniform(0.35, 0.65) * SIDE, generator.uniform(0.35, 0.65) * SIDE
    paint = [generator.randint(120, 255) for _ in range(3)]
    ground = [generator.randint(0, 60) for _ in range(3)]
    rows = []
    for row in range(SIDE):
        line = bytearray()
        for column in range(SIDE):
            line += bytes(paint if inside(shape, column + 0.5 - x, row + 0.5 - y, r) else ground)
        rows.append(bytes(line))
    return rows


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows):
    """A PNG file: 8 bits a channel, RGB, no filter."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="the folder to fill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=512, help="how many images (default 512)")
    options = parser.parse_args()
    os.makedirs(os.path.join(options.out, "images"), exist_ok=True)
    generator = random.Random(options.seed)
    records = []
    for number in range(options.count):
        shape = SHAPES[number % len(SHAPES)]
        name = f"{number:05d}.png"
        with open(os.path.join(options.out, "images", name), "wb") as file:
            file.write(png(draw(shape, generator)))
        records.append({"image": name, "label": shape})
    with open(os.path.join(options.out, "train.json"), "w", encoding="utf-8") as file:
        json.dump(records, file, indent=0)
    print(f"{len(records)} images in {options.out}")


if __name__ == "__main__":
    main()
