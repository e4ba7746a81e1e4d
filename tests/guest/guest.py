"""A guest with a PMU: an emulated Neoverse N1 under QEMU with Debian's kernel and one initramfs.

QEMU's own translator emulates ARM's PMU. With a fixed icount shift and one CPU INST_RETIRED is what
the program executed, to the instruction, and the guest's clock is a count of instructions too; the
times, cycles and misses of such a machine mean nothing.

The initramfs holds the installed tree of a cross build, the shared libraries that it needs, busybox
and a few lines of init, which run one command and power off. Kernel, busybox and XNNPACK come from
.cache/guest, where `scripts/packages guest' unpacks them. No module is loaded, no disk, no network.
"""

import os
import re
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.path.join(ROOT, ".cache", "guest", "root")
QEMU = "qemu-system-aarch64"
MACHINE = ["-M", "virt", "-cpu", "neoverse-n1", "-icount", "shift=0,sleep=off", "-smp", "1",
           "-m", "512", "-nographic", "-nic", "none", "-no-reboot"]
LIBRARY_DIRECTORIES = [os.path.join(CACHE, "usr/lib/aarch64-linux-gnu"),
                       "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
EXIT = re.compile(rb"^dwbench-guest: exit ([0-9]+)\r?\n", re.MULTILINE)

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
stty -F /dev/ttyAMA0 -opost
export PATH=/usr/local/bin:/usr/local/libexec/dwbench:/bin HOME=/root
sh /command </dev/null >/dev/ttyAMA0 2>&1
echo "dwbench-guest: exit $?" >/dev/ttyAMA0
sync
poweroff -f
"""
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"
GROUP = "root:x:0:\nuser:x:1000:\n"


class Unavailable(Exception):
    """The guest cannot run here; the text says why and what to do."""


class Failed(Exception):
    """It ran, and did not come back with a status: a panic, or the deadline."""


def _find_kernel():
    boot = os.path.join(CACHE, "boot")
    kernels = [name for name in os.listdir(boot) if name.startswith("vmlinuz")] \
        if os.path.isdir(boot) else []
    return os.path.join(boot, sorted(kernels)[-1]) if kernels else None


def check():
    """Raises Unavailable unless a guest can be made here."""
    if not shutil.which(QEMU):
        raise Unavailable(f"no {QEMU}: scripts/packages guest installs it")
    if not _find_kernel() or not os.path.exists(os.path.join(CACHE, "bin/busybox")):
        raise Unavailable("no kernel for the guest in .cache/guest: scripts/packages guest "
                          "unpacks it")


def _needed(path):
    output = subprocess.run(["readelf", "-d", path], check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout.decode()
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output)


def _is_elf(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _add_libraries(tree):
    """What the programs and modules of the tree need, and what that needs, into its /lib."""
    queue = [os.path.join(directory, name) for directory, _, names in os.walk(tree)
             for name in names if _is_elf(os.path.join(directory, name))]
    target = os.path.join(tree, "lib", "aarch64-linux-gnu")
    os.makedirs(target)
    while queue:
        for name in _needed(queue.pop()):
            copy = os.path.join(target, name)
            if os.path.exists(copy):
                continue
            source = next((path for path in (os.path.join(directory, name)
                                             for directory in LIBRARY_DIRECTORIES)
                           if os.path.exists(path)), None)
            if source is None:
                raise Unavailable(f"no {name} of arm64: scripts/packages cross guest installs it")
            shutil.copy(source, copy)
            queue.append(copy)
    os.symlink("aarch64-linux-gnu/ld-linux-aarch64.so.1",
               os.path.join(tree, "lib", "ld-linux-aarch64.so.1"))


def _write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)


def _cpio_entry(stream, number, name, mode, data):
    """One member of a `newc' archive: what the kernel unpacks."""
    encoded = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    stream.write(header + b"\0" * (-len(header) % 4))
    stream.write(data + b"\0" * (-len(data) % 4))


def _pack(tree, path):
    with open(path, "wb") as stream:
        number = 0
        for directory, directories, names in os.walk(tree):
            for name in sorted(directories + names):
                member = os.path.join(directory, name)
                mode = os.lstat(member).st_mode
                data = b""
                if stat.S_ISLNK(mode):
                    data = os.readlink(member).encode()
                elif stat.S_ISREG(mode):
                    with open(member, "rb") as content:
                        data = content.read()
                number += 1
                _cpio_entry(stream, number, os.path.relpath(member, tree), mode, data)
        _cpio_entry(stream, 0, "TRAILER!!!", 0, b"")


def _make_initramfs(build, command, files, work):
    tree = os.path.join(work, "tree")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", tree],
                   check=True, stdout=sys.stderr)
    for directory in ("bin", "dev", "proc", "sys", "tmp", "run", "root", "opt"):
        os.makedirs(os.path.join(tree, directory), exist_ok=True)
    shutil.copy(os.path.join(CACHE, "bin/busybox"), os.path.join(tree, "bin"))
    for source in files:
        shutil.copy(source, os.path.join(tree, "opt"))
    _add_libraries(tree)
    _write(os.path.join(tree, "init"), INIT, 0o755)
    _write(os.path.join(tree, "command"), command)
    _write(os.path.join(tree, "etc/passwd"), PASSWD)
    _write(os.path.join(tree, "etc/group"), GROUP)
    path = os.path.join(work, "initramfs.cpio")
    _pack(tree, path)
    shutil.rmtree(tree)
    return path


def _stream(qemu, timeout, sink):
    """Hands the console to sink as it comes; returns all of it once QEMU has gone."""
    deadline = time.monotonic() + timeout
    output = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failed(f"the guest was not done after {timeout} s")
        if not select.select([qemu.stdout], [], [], left)[0]:
            continue
        piece = os.read(qemu.stdout.fileno(), 65536)
        if not piece:
            return output
        output += piece
        sink(piece)


def run(build, command, files=(), timeout=120, sink=lambda piece: None):
    """Boots a guest with the tree of a cross build directory installed and `files` in /opt, runs
    the shell command as root, and returns (its status, what it wrote). sink gets the console in
    pieces, as they come."""
    check()
    with tempfile.TemporaryDirectory(prefix="dwbench-guest-") as work:
        initramfs = _make_initramfs(build, command, files, work)
        qemu = subprocess.Popen([QEMU, *MACHINE, "-kernel", _find_kernel(), "-initrd", initramfs,
                                 "-append", "console=ttyAMA0 loglevel=1 panic=-1"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            output = _stream(qemu, timeout, sink)
        finally:
            qemu.kill()
            qemu.wait()
            qemu.stdout.close()
    status = EXIT.search(output)
    if not status:
        raise Failed("the guest ended without a status; its console: "
                     + output[-2000:].decode(errors="replace"))
    return int(status.group(1)), output[:status.start()].decode(errors="replace")
