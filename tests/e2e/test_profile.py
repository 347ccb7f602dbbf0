# SPDX-License-Identifier: Apache-2.0
"""`--profile`: a trace that a viewer can read, that holds every launch of the plan, agrees with its own sums, and changes nothing."""
import collections
import json
import pathlib
import re
import unittest

import plans
import programs

STEPS, WARM, MICROS = 4, 3, 2
LAUNCH = re.compile(r' (forward|backward|update|evaluate|init) "([^"]*)" flops (\d+) bytes (\d+)')


def setUpModule():
    global FOLDER, DATA, PROGRAM, TRACE, OUT, PRINTED
    FOLDER = programs.fresh_folder()
    DATA = programs.words_data(pathlib.Path(FOLDER.name) / "data")
    PROGRAM = programs.compiled("words")
    OUT = pathlib.Path(FOLDER.name) / "profiled"
    PRINTED = train(OUT, "--profile", "--profile-steps", STEPS).out
    TRACE = json.loads((OUT / "pretrain" / "profile.json").read_text())


def tearDownModule():
    FOLDER.cleanup()


def train(out, *options, code=0, stage="pretrain"):
    ended = programs.run(PROGRAM, "--stage", stage, "--data", DATA, "--out", out, "--threads", 2, "--max-steps", 12, *options)
    assert ended.code == code, ended
    return ended


def events():
    return [event for event in TRACE["traceEvents"] if event["ph"] == "X"]


def launches():
    return [event for event in events() if "launch" in event.get("args", {})]


class Trace(unittest.TestCase):
    def test_tracks_have_names(self):
        named = {event["tid"]: event["args"]["name"] for event in TRACE["traceEvents"] if event["name"] == "thread_name"}
        self.assertEqual(len(set(named.values())), len(named))
        self.assertLessEqual({event["tid"] for event in events()}, set(named))
        self.assertLessEqual({"loop", "forward", "backward", "update", "batches"}, set(named.values()))
        self.assertTrue(any(name.startswith("data") for name in named.values()), named)

    def test_events_nest_and_launches_do_not_overlap(self):
        by_track = collections.defaultdict(list)
        for event in events():
            # Microseconds with three decimals: whole nanoseconds again.
            begin = round(event["ts"] * 1000)
            by_track[event["tid"]].append((begin, begin + round(event["dur"] * 1000), event["name"]))
        for track in by_track.values():
            open_ends = []
            for begin, end, name in sorted(track, key=lambda e: (e[0], -e[1])):
                self.assertGreaterEqual(begin, 0)
                while open_ends and open_ends[-1] <= begin:
                    open_ends.pop()
                if open_ends:
                    self.assertLessEqual(end, open_ends[-1], name)
                open_ends.append(end)
        timed = sorted((round(e["ts"] * 1000), round(e["dur"] * 1000)) for e in launches())
        for (begin, length), (after, _) in zip(timed, timed[1:]):
            self.assertLessEqual(begin + length, after)

    def test_every_launch_of_the_plan_is_there(self):
        plan = plans.plans(plans.emit(plans.RECIPES / "words.vcs", "plan"))["pretrain"]
        seen = collections.defaultdict(list)
        for event in launches():
            seen[(event["args"]["step"], event["args"]["launch"])].append(event)
        expected = 0
        for function, times in (("micro_main", MICROS), ("update", 1)):
            for number, launch in enumerate(plan.functions[function]):
                phase, path, flops, size = LAUNCH.search(launch.text).groups()
                for step in range(WARM, WARM + STEPS):
                    found = seen[(step, f"{function}/{number}")]
                    self.assertEqual(len(found), times, launch.text)
                    expected += times
                    for event in found:
                        self.assertEqual((event["name"], event["args"]["flops"], event["args"]["bytes"]), (path, int(flops), int(size)))
                        if launch.kind == "launch":
                            self.assertIn(f"@{event['args']['kernel']} ", launch.text)
                        else:
                            self.assertEqual(event["args"]["kernel"].split(" ")[0], launch.kind)
        self.assertEqual(len(launches()), expected)

    def test_attention_belongs_to_its_part(self):
        paths = {event["name"] for event in launches() if event["args"]["kernel"].startswith("attention")}
        self.assertEqual(paths, {"lm.model.layers[0].self_attn"})
        kernels = {event["args"]["kernel"] for event in launches() if event["args"]["kernel"].startswith("attention")}
        for kernel in kernels:
            self.assertRegex(kernel, r"^attention(_grad)? \d+ x \d+x\d+ \d+(/\d+)?x\d+ causal lengths$")


class Sums(unittest.TestCase):
    def test_phases_add_up_to_the_steps(self):
        profile = TRACE["profile"]
        self.assertEqual((profile["first_step"], profile["steps"], profile["threads"]), (WARM, STEPS, 2))
        self.assertAlmostEqual(sum(phase["seconds"] for phase in profile["phases"].values()), profile["seconds"], places=9)
        self.assertGreaterEqual(profile["phases"]["other"]["seconds"], 0)
        for phase in ("data copy", "forward", "backward", "update"):
            self.assertGreater(profile["phases"][phase]["seconds"], 0, phase)
        steps = [event for event in events() if event["name"].startswith("step ")]
        self.assertEqual([event["name"] for event in steps], [f"step {step}" for step in range(WARM, WARM + STEPS)])
        self.assertLessEqual(sum(event["dur"] for event in steps), profile["seconds"] * 1e6 * 1.000001)

    def test_tables_are_sums_of_the_events(self):
        profile = TRACE["profile"]
        named = {event["tid"]: event["args"]["name"] for event in TRACE["traceEvents"] if event["name"] == "thread_name"}
        for table, of in (("phases", lambda e: named[e["tid"]]), ("kernels", lambda e: e["args"]["kernel"]),
                          ("paths", lambda e: re.sub(r"\[\d+\]", "[*]", e["name"]))):
            sums = collections.defaultdict(lambda: [0, 0.0, 0, 0, 0.0])
            for event in launches():
                for place, value in enumerate((1, event["dur"], event["args"]["flops"], event["args"]["bytes"], event["args"]["floor_us"])):
                    sums[of(event)][place] += value
            written = {name: work for name, work in profile[table].items() if work["launches"]}
            self.assertEqual(set(written), set(sums))
            for name, (count, microseconds, flops, size, floor) in sums.items():
                work = written[name]
                self.assertEqual((work["launches"], work["flops"], work["bytes"]), (count, flops, size), name)
                self.assertAlmostEqual(work["seconds"] * 1e6, microseconds, delta=0.001 * count)
                self.assertAlmostEqual(work["floor_seconds"] * 1e6, floor, delta=0.001 * count)
                self.assertLessEqual(work["least_seconds"], work["seconds"] * 1.000001)

    def test_floor_is_that_of_the_rates(self):
        profile = TRACE["profile"]
        for event in launches():
            least = max(event["args"]["flops"] / profile["matrix_product_flops_per_second"],
                        event["args"]["bytes"] / profile["memory_bytes_per_second"])
            self.assertAlmostEqual(event["args"]["floor_us"], least * 1e6, delta=0.001)

    def test_printed(self):
        for words in ("profile of stage pretrain: steps 3 to 6 (after 3 that are not measured), 2 threads", "matrix products", "forward",
                      "backward", "update", "lm", "layers[*]", "gemm ", str(OUT / "pretrain" / "profile.json")):
            self.assertIn(words, PRINTED)


class Changes(unittest.TestCase):
    def test_nothing(self):
        plain = pathlib.Path(FOLDER.name) / "plain"
        train(plain)
        kept = lambda step: {key: value for key, value in step.items() if key not in ("seconds", "data_wait")}
        self.assertEqual([kept(step) for step in programs.steps_of(plain, "pretrain")], [kept(step) for step in programs.steps_of(OUT, "pretrain")])
        self.assertEqual((plain / "pretrain" / "weights.safetensors").read_bytes(), (OUT / "pretrain" / "weights.safetensors").read_bytes())
        self.assertFalse((plain / "pretrain" / "profile.json").exists())

    def test_a_short_stage_into_a_named_file(self):
        file = pathlib.Path(FOLDER.name) / "tune.json"
        ended = train(OUT, f"--profile={file}", stage="tune")
        self.assertIn(str(file), ended.out)
        profile = json.loads(file.read_text())["profile"]
        self.assertEqual((profile["first_step"], profile["steps"]), (3, 3), "six steps, three of them warm")


class Faults(unittest.TestCase):
    def test_are_told(self):
        out = pathlib.Path(FOLDER.name) / "faults"
        folder = pathlib.Path(FOLDER.name)
        for options, code, stage, words in (
                ((f"--profile={folder}",), 3, "pretrain", "it is a folder"),
                ((f"--profile={folder}/no/such.json",), 3, "pretrain", "there is no folder"),
                (("--profile=/proc/profile.json",), 3, "pretrain", "cannot write the profile `/proc/profile.json`"),
                (("--profile",), 1, "pretain", "did you mean `pretrain`?"),
                (("--profile-steps", "0"), 1, "pretrain", "at least 1"),
                ((f"--profile={folder}/one.json",), 1, "all", "stages would write their profiles to one file")):
            ended = train(out, *options, code=code, stage=stage)
            self.assertIn(words, ended.err)
            self.assertFalse((out / "pretrain" / "log.jsonl").exists(), "nothing was trained")
        ended = programs.run(PROGRAM, "--profile")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("name it by --stage", ended.err)

    def test_a_finished_stage_has_nothing_to_profile(self):
        out = pathlib.Path(FOLDER.name) / "finished"
        train(out)
        ended = train(out, "--profile", code=1)
        self.assertIn("stage `pretrain` has no step left to profile", ended.err)
        # Among others it is passed over.
        ended = train(out, "--profile", stage="pretrain,tune")
        self.assertIn("and --max-steps asks for no more, so that there is nothing to profile", ended.out)
        self.assertIn("profile of stage tune", ended.out)
        self.assertTrue((out / "tune" / "profile.json").exists())
        self.assertFalse((out / "pretrain" / "profile.json").exists())
        ended = train(out, "--profile", code=1, stage="pretrain,tune")
        self.assertIn("none of the 2 stages has a step left to profile", ended.err)


if __name__ == "__main__":
    unittest.main()
