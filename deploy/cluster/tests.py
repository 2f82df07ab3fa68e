"""What a killed run leaves is found and taken away: tried with a network, a mount and processes that are made for it."""

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from . import remains


def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def is_possible() -> bool:
    """Whether this machine lets us make networks and mounts."""
    tried = ["unshare", "--net", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(tried, capture_output=True, check=False).returncode == 0


@unittest.skipUnless(is_possible(), "nobody may make networks here")
class WhatAKilledRunLeaves(unittest.TestCase):
    def test_all_of_it_is_taken_away_and_nothing_of_others(self) -> None:
        name = f"{remains.PREFIX}{ended()}"
        with tempfile.TemporaryDirectory() as place:
            folder, beside = Path(place) / "node", Path(place) / "beside"
            folder.mkdir()
            beside.mkdir()
            mounted, kept = folder / "a b", beside / "kept"
            mounted.mkdir()
            subprocess.run(["ip", "netns", "add", name], check=True)
            subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
            (mounted / "inner").mkdir()
            subprocess.run(["mount", "--bind", beside, mounted / "inner"], check=True)
            kept.write_text("")
            (remains.MEMORY / name).mkdir()
            sleep = ["sleep", "600"]
            inside = subprocess.Popen(["nsenter", f"--net={remains.NETWORKS / name}", *sleep])
            group = remains.groups(name)[0]
            group.mkdir()
            grouped, other = subprocess.Popen(sleep), subprocess.Popen(sleep)
            try:
                (group / "cgroup.procs").write_text(str(grouped.pid))
                self.until(lambda: inside.pid in set(remains.processes(name, [])))
                self.assertIn(name, remains.old())
                remains.clear(name, [folder])
                self.assertNotIn(name, remains.old())
                self.assertFalse(any(each.exists() for each in remains.groups(name)))
                self.assertEqual([inside.wait(10), grouped.wait(10)], [-9, -9])
                self.assertIsNone(other.poll())
                self.assertEqual(remains.mounts([str(folder)]), [])
                self.assertTrue(kept.exists(), "what was mounted is emptied")
            finally:
                other.kill()
                other.wait()

    def test_a_control_group_alone_is_found(self) -> None:
        name = f"{remains.PREFIX}{ended()}"
        remains.groups(name)[0].mkdir()
        self.assertIn(name, remains.old())
        remains.clear(name, [])
        self.assertNotIn(name, remains.old())

    def test_what_is_at_work_is_left_alone(self) -> None:
        name = f"{remains.PREFIX}{os.getpid()}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        try:
            self.assertNotIn(name, remains.old())
        finally:
            subprocess.run(["ip", "netns", "del", name], check=True)

    def until(self, holds) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            self.assertLess(time.monotonic(), deadline, "gave up waiting")
            time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
