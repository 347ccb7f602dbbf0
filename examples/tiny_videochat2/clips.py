# SPDX-License-Identifier: Apache-2.0
"""Draws clips and writes them as H.264 files: 16 frames at 8 a second, objects on a plain ground: 64 x 64 pixels for one,
32 more on each side for every other.

A clip is a pure function of (seed, split, number). Many clips share one ffmpeg process: raw frames go in, each clip starts
with a key frame, and the segment muxer opens a new file there. Chunks have a fixed size, so that the files do not depend
on the number of processes.
"""
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor

import numpy

SIDE, APART, FRAMES, RATE = 64, 32, 16, 8
CHUNK = 448
COLOURS = numpy.array([(220, 40, 40), (40, 190, 60), (50, 80, 225), (230, 215, 50)], dtype=numpy.float32)
STEPS = numpy.array([(-1, 0), (1, 0), (0, -1), (0, 1)], dtype=numpy.float32)
PATHS = numpy.array([0.22, 0.44])


def inside(shape, dx, dy, r):
    """Whether points at (dx, dy) from the centre lie in the shape of size r; y grows downwards."""
    if shape == 0:
        return dx * dx + dy * dy <= r * r
    if shape == 1:
        return numpy.maximum(abs(dx), abs(dy)) <= 0.86 * r
    if shape == 2:
        height, half_base = 1.75 * r, 1.1 * r
        down = dy + height / 2
        return (down >= 0) & (down <= height) & (abs(dx) <= half_base * down / height)
    arm = 0.33 * r
    return ((abs(dx) <= arm) & (abs(dy) <= r)) | ((abs(dy) <= arm) & (abs(dx) <= r))


def side_of(objects):
    """Pixels on each side of a clip with so many objects."""
    return SIDE + (objects - 1) * APART


def draw(seed, split, number, scene):
    """The clip's frames: ui8 [FRAMES, side, side, 3]. At mid clip the scene's objects stand in its order from left to right and apart;
    what is later in the scene is in front where they meet."""
    count, side = len(scene), side_of(len(scene))
    shapes, colours, directions, speeds = numpy.array(scene).T
    generator = numpy.random.default_rng([seed, split, number])
    sizes = generator.uniform(0.20, 0.24, count) * SIDE
    middles = generator.uniform(0.34, 0.66, (count, 2)) * (SIDE, side)
    middles[:, 0] = numpy.sort(middles[:, 0]) + APART * numpy.arange(count)
    paths = PATHS[speeds] * generator.uniform(0.9, 1.1, count) * SIDE
    paints = COLOURS[colours] + generator.uniform(-20, 20, (count, 3))
    ground = generator.uniform(5, 50) + generator.uniform(-5, 5, 3)
    points = (numpy.arange(2 * side, dtype=numpy.float32) + 0.5) / 2
    times = numpy.arange(FRAMES) / (FRAMES - 1) - 0.5
    frames = ground
    for shape, r, middle, path, step, paint in zip(shapes, sizes, middles, paths, STEPS[directions], paints):
        centres = middle + times[:, None] * path * step
        dx = points[None, None, :] - centres[:, 0, None, None].astype(numpy.float32)
        dy = points[None, :, None] - centres[:, 1, None, None].astype(numpy.float32)
        cover = inside(shape, dx, dy, numpy.float32(r)).reshape(FRAMES, side, 2, side, 2).mean((2, 4), dtype=numpy.float32)
        frames = frames + cover[..., None] * (paint - frames)
    frames = frames.astype(numpy.float32) + 3 * generator.standard_normal(frames.shape, dtype=numpy.float32)
    return numpy.clip(numpy.rint(frames), 0, 255).astype(numpy.uint8)


def write_chunk(folder, name, seed, split, first, scenes):
    """Writes clips first, first + 1, .. of one split through one ffmpeg."""
    side = side_of(len(scenes[0]))
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{side}x{side}", "-r", str(RATE),
               "-i", "-", "-map_metadata", "-1", "-c:v", "libx264", "-threads", "1", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p",
               "-g", str(FRAMES), "-keyint_min", str(FRAMES), "-sc_threshold", "0", "-flags:v", "+bitexact+cgop", "-fflags", "+bitexact",
               "-f", "segment", "-segment_format", "mp4", "-segment_time", str(FRAMES / RATE), "-segment_time_delta", str(0.5 / RATE),
               "-reset_timestamps", "1", "-segment_start_number", str(first), os.path.join(folder, f"{name}-%05d.mp4")]
    encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
    for offset, scene in enumerate(scenes):
        encoder.stdin.write(draw(seed, split, first + offset, scene).tobytes())
    encoder.stdin.close()
    if encoder.wait() != 0:
        raise RuntimeError(f"ffmpeg failed on clips {name}-{first:05d} and following")
    for offset in range(len(scenes)):
        if not os.path.exists(os.path.join(folder, f"{name}-{first + offset:05d}.mp4")):
            raise RuntimeError(f"ffmpeg wrote no {name}-{first + offset:05d}.mp4")


def write(folder, seed, splits):
    """Writes every split (name, scenes) into folder; the names of the files are `name-00000.mp4` and so on."""
    os.makedirs(folder, exist_ok=True)
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        waiting = [pool.submit(write_chunk, folder, name, seed, number, first, scenes[first:first + CHUNK])
                   for number, (name, scenes) in enumerate(splits) for first in range(0, len(scenes), CHUNK)]
        for chunk in waiting:
            chunk.result()
