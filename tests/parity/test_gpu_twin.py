# SPDX-License-Identifier: Apache-2.0
"""The twin that tests/gpu measures beside VideoChat2 at full size has the parameters of the recipe's parts, one by one."""
import json
import sys
import unittest

import programs

RECIPE = programs.TOP / "examples" / "videochat2" / "videochat2_vicuna.vcs"


class Twin(unittest.TestCase):
    def test_parameters_of_each_part(self):
        plan = json.loads(programs.succeed(programs.VCC, "plan", RECIPE, "--device", "h200", "--json", memory=8 * programs.GIGABYTE, seconds=300))
        for stage in plan["stages"]:
            if stage["name"] != "instruct":
                continue
            wanted = {part["name"]: part["parameters"] for part in stage["components"]}
            wanted.setdefault("adapter", 0)
            counted = programs.succeed(sys.executable, programs.TOP / "tests" / "gpu" / "twin.py", "--count", "--stage", stage["name"],
                                       memory=8 * programs.GIGABYTE, seconds=300)
            self.assertEqual(json.loads(counted.splitlines()[-1]), wanted, stage["name"])


if __name__ == "__main__":
    unittest.main()
