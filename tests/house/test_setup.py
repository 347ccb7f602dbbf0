# SPDX-License-Identifier: Apache-2.0
"""The install step: does nothing where nothing is missing; a user who may not install is told the exact line."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SETUP = pathlib.Path(__file__).resolve().parents[2] / "compiler" / "setup"
NOBODY = 65534


class Install(unittest.TestCase):
    def test_nothing_missing_nothing_said(self):
        finished = subprocess.run([SETUP / "install"], capture_output=True, text=True)
        self.assertEqual((finished.returncode, finished.stdout, finished.stderr), (0, "", ""))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become a user without rights")
    def test_without_rights_the_line_to_run_is_printed(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            copy = pathlib.Path(folder) / "setup"
            shutil.copytree(SETUP, copy)
            with (copy / "packages.txt").open("a") as packages:
                packages.write("vcc-no-such-package\n")
            finished = subprocess.run([copy / "install"], capture_output=True, text=True, user=NOBODY, group=NOBODY)
        self.assertEqual(finished.returncode, 1)
        self.assertIn("apt-get update && apt-get install --no-install-recommends -y vcc-no-such-package", finished.stderr)

    def test_the_list_names_every_package_once(self):
        lines = [line for line in (SETUP / "packages.txt").read_text().splitlines() if line and not line.startswith("#")]
        self.assertEqual(len(lines), len(set(lines)))
        for line in lines:
            self.assertRegex(line, r"^[a-z0-9][a-z0-9+.-]+$")


if __name__ == "__main__":
    unittest.main()
