"""What has been synced to the disk, and what had when a name appeared: the real calls, watched."""

import os
from pathlib import Path


class Watched:
    """While installed, `events` grows by ("sync", path) and ("name", path) in the order of the system calls."""

    def __init__(self, monkeypatch):
        self.events = []
        fsync, link, replace, rename = os.fsync, os.link, os.replace, os.rename
        made = os.mkdir

        def sync(handle):
            self.events.append(("sync", Path(f"/proc/self/fd/{int(handle)}").readlink()))
            fsync(handle)

        def named(call):
            def wrapper(source, target, **kwargs):
                call(source, target, **kwargs)
                self.events.append(("name", Path(target)))

            return wrapper

        def folder(path, *args, **kwargs):
            made(path, *args, **kwargs)
            self.events.append(("name", Path(path)))

        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(os, "mkdir", folder)
        for name, call in (("link", link), ("replace", replace), ("rename", rename)):
            monkeypatch.setattr(os, name, named(call))

    def synced_after(self, path):
        """Was the folder synced that holds `path`, after `path` had its name?"""
        named = max(i for i, event in enumerate(self.events) if event == ("name", path))
        return ("sync", path.parent) in self.events[named:]

    def synced_before(self, path):
        """Every path that was synced before `path` had its name."""
        named = min(i for i, event in enumerate(self.events) if event == ("name", path))
        return {where for kind, where in self.events[:named] if kind == "sync"}
