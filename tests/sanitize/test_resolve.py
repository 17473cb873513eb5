"""Look-ups in a hostile tree: csrc/init/resolve.c as an ordinary program under sanitizers, held against a model."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
EXISTS, DIRECTORY, FILE = 0, 1, 2
NO_SYMLINKS = 4
SEEDS = 40


class Tree:
    """A root with a tree in it, a neighbour that nothing may touch, and the program that looks paths up."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.root = directory / "root"
        self.outside = directory / "outside"
        self.root.mkdir(parents=True)
        self.outside.mkdir()
        (self.outside / "file").write_text("secret")
        (self.outside / "file").chmod(0o600)

    def link(self, name: str, content: str) -> None:
        """Make a symbolic link."""
        os.symlink(content, self.root / name)

    def ask(self, *lines: str) -> list[str]:
        """One answer a line, with paths below the root in place of whole ones."""
        found = subprocess.run(
            [self.program, self.root],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert found.returncode == 0, found.stderr
        assert os.listdir(self.outside) == ["file"]
        return found.stdout.replace(f" {self.root}", " ").splitlines()

    def open(self, path: str, target: int = DIRECTORY, resolve: int = 0, mode: int = 0o755) -> str:
        """What a look-up leads to: the path below the root, or an errno."""
        answer = self.ask(f"open {target} {mode:o} {resolve} {path}")[0]
        return re.sub("^(ok [0-7]+ [0-7]+ -|error) ", "", answer)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """resolve.c of here and of the init, with the sanitizers."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    target = tmp_path_factory.mktemp("resolve") / "resolve"
    flags = ["-std=gnu11", "-D_GNU_SOURCE=", "-Wall", "-Wextra", "-Werror", "-g", "-O1"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I", str(CSRC / "init")]
    sources = [HERE / "resolve.c", CSRC / "init/resolve.c", CSRC / "init/sys.c"]
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(target)], check=True)
    return target


@pytest.fixture
def tree(program: Path, tmp_path: Path) -> Tree:
    return Tree(program, tmp_path)


def test_what_is_missing_is_made(tree: Tree) -> None:
    assert tree.open("a/b/c") == "/a/b/c"
    assert tree.open("/a/b/f", FILE) == "/a/b/f"
    assert (tree.root / "a/b/c").is_dir()
    assert (tree.root / "a/b/f").is_file()


def test_modes_are_the_given_ones(tree: Tree) -> None:
    assert tree.ask("open 2 640 0 new/file", "open 1 1777 0 new/dir", "open 0 0 0 new") == [
        "ok 10 640 - /new/file",
        "ok 4 1777 - /new/dir",
        "ok 4 755 - /new",
    ]


def test_what_must_exist_is_not_made(tree: Tree) -> None:
    assert tree.open("a/b", EXISTS) == "ENOENT"
    assert os.listdir(tree.root) == []


def test_slashes_and_dots(tree: Tree) -> None:
    assert tree.open("//x///y/./z//") == "/x/y/z"
    assert tree.open("") == ""
    assert tree.open("/") == ""
    assert tree.open(".") == ""


@pytest.mark.parametrize(
    "path", ["..", "../..", "/../../x", "a/../../../x", "x/../../outside/file", "new/../../outside"]
)
def test_dots_do_not_lead_out(tree: Tree, path: str) -> None:
    assert tree.open(path).startswith(("/", "")) and not tree.open(path).startswith("E")
    assert (tree.outside / "file").read_text() == "secret"


def test_dots_behind_what_is_missing(tree: Tree) -> None:
    assert tree.open("new/../b") == "/b"
    assert tree.open("one/two/../../three/../f", FILE) == "/f"


def test_an_absolute_link_begins_at_the_root(tree: Tree) -> None:
    tree.link("out", str(tree.outside))
    assert tree.open("out/file", EXISTS) == "ENOENT"
    assert tree.open("out/file", FILE) == f"{tree.outside}/file"  # below the root
    assert (tree.root / str(tree.outside)[1:] / "file").read_bytes() == b""


def test_a_relative_link_that_climbs_stays_inside(tree: Tree) -> None:
    tree.link("up", "../../../../outside/file")
    assert tree.open("up", EXISTS) == "ENOENT"
    assert tree.open("up", FILE) == "/outside/file"


@pytest.mark.parametrize(
    ("content", "end"),
    [
        ("missing", "/missing"),
        ("/missing/too", "/missing/too"),
        ("d/missing", "/d/missing"),
        ("../x", "/x"),
        ("d/../y", "/y"),
        ("new/../z", "/z"),
        ("other", "/end"),
    ],
)
def test_a_dangling_link_is_followed_and_its_end_made(tree: Tree, content: str, end: str) -> None:
    """A mount must never go onto the link itself."""
    (tree.root / "d").mkdir()
    tree.link("other", "end")
    tree.link("link", content)
    assert tree.ask("open 2 600 0 link", "open 0 0 0 link") == [f"ok 10 600 - {end}"] * 2
    assert (tree.root / "link").is_symlink()


def test_a_dangling_link_on_the_way(tree: Tree) -> None:
    tree.link("way", "to/nowhere")
    assert tree.open("way/a/b") == "/to/nowhere/a/b"


def test_loops(tree: Tree) -> None:
    tree.link("self", "self")
    tree.link("a", "b")
    tree.link("b", "a")
    tree.link("longer", "longer/x")
    for path in ("self", "self/x", "a", "b/x", "longer"):
        assert tree.open(path) == "ELOOP"


def test_many_links(tree: Tree) -> None:
    for number in range(60):
        tree.link(f"l{number}", f"l{number + 1}")
    assert tree.open("l0") == "ELOOP"
    assert tree.open("l30") == "/l60"


def test_links_where_none_may_be(tree: Tree) -> None:
    (tree.root / "d").mkdir()
    tree.link("good", "d")
    tree.link("dangling", "x")
    for path in ("good", "good/x", "dangling", "dangling/x"):
        assert tree.open(path, resolve=NO_SYMLINKS) == "ELOOP"
    assert os.listdir(tree.root / "d") == []
    assert not (tree.root / "x").exists()


def test_magic_links(tree: Tree) -> None:
    """They lead out of any root."""
    found = subprocess.run(
        [tree.program, "/proc/self"],
        input="open 0 0 0 cwd\nopen 0 0 0 root/etc\nopen 2 0 0 exe/x",
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.splitlines() == ["error ELOOP"] * 3


def test_a_file_on_the_way(tree: Tree) -> None:
    (tree.root / "f").write_text("")
    assert tree.open("f/x") == "ENOTDIR"
    assert tree.open("f/..") == "ENOTDIR"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("open 0 0 0 a/b", "openat2 /a/b"),
        ("open 1 755 0 f/x", "openat2 /f/x"),
        ("open 1 755 4 self/x", "openat2 /self/x"),
        ("open 1 755 0 self", "openat2 /self"),
        ("parent 0 0 0 /a/..", "openat2 /a/.."),
        ("open 1 755 0 locked/new/x", "mkdir /locked/new"),
        ("open 2 644 0 locked/new", "create /locked/new"),
        ("parent 0 0 0 /locked/new/x", "mkdir /locked/new"),
        ("device 1 3 0 /f", "openat2 /f"),
    ],
)
def test_what_failed_is_named_with_its_path(tree: Tree, line: str, why: str) -> None:
    """The component that could not be made, as the root has it, where one is made."""
    (tree.root / "f").write_text("")
    tree.link("self", "self")
    with read_only_mount(tree.root / "locked"):
        answer, told = tree.ask(line, "why 0 0 0 -")
    assert answer.startswith("error ")
    assert told == why


@contextlib.contextmanager
def read_only_mount(place: Path) -> Iterator[None]:
    """A directory in which nobody can make anything, root neither."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_long_names(tree: Tree) -> None:
    name = "n" * 255
    assert tree.open(name) == f"/{name}"
    assert tree.open(name + "n") == "ENAMETOOLONG"
    assert tree.open("/".join(["d" * 200] * 19)) == "/" + "/".join(["d" * 200] * 19)
    assert tree.open("x/" * 2048 + "y") == "ENAMETOOLONG"
    tree.link("long", "e/" * 2000)
    assert tree.open("long/" + "f/" * 100) == "ENAMETOOLONG"


def test_the_directory_of_a_new_name(tree: Tree) -> None:
    tree.link("d", "elsewhere")
    assert tree.ask("parent 0 0 0 /dev/x", "parent 0 0 0 x", "parent 0 0 0 d/e/n") == [
        "ok 4 755 x /dev",
        "ok 4 755 x ",
        "ok 4 755 n /elsewhere/e",
    ]
    for path in ("", "/", "a/", "a/..", "a/.", ".."):
        assert tree.ask(f"parent 0 0 0 {path}") == ["error EINVAL"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_only_the_right_device_is_opened(tree: Tree) -> None:
    os.mknod(tree.root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(tree.root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    for name in ("null", "zero"):
        (tree.root / name).chmod(0o666)
    os.mkfifo(tree.root / "fifo")
    tree.link("link", "null")
    (tree.root / "file").write_text("")
    assert tree.ask("device 1 3 0 null", "device 1 5 0 zero") == ["ok 2 666 - /null", "ok 2 666 - /zero"]
    assert tree.ask(*[f"device 1 3 0 {name}" for name in ("zero", "fifo", "file")]) == ["error ENODEV"] * 3
    assert tree.ask("device 1 3 0 link", "device 1 3 0 none") == ["error ELOOP", "error ENOENT"]


# -- against a model


class Failed(Exception):
    """A look-up that ends in an errno."""


Node = dict[str, "Node"] | str | None  # a directory, a link's content, a file


def model(root: dict[str, Node], path: str, target: int) -> list[str]:
    """Where a look-up ends; it makes what is missing in `root`."""
    rest = [part for part in path.split("/") if part]
    at: list[str] = []
    links = 0
    while rest:
        part = rest.pop(0)
        here = descend(root, at)
        if not isinstance(here, dict):
            raise Failed("ENOTDIR")
        if part == "..":
            at = at[:-1]
            continue
        if part not in here:
            if target == EXISTS:
                raise Failed("ENOENT")
            here[part] = {} if rest or target == DIRECTORY else None
        found = here[part]
        if isinstance(found, str):
            links += 1
            if links > 100:
                raise Failed("ELOOP")
            at = [] if found.startswith("/") else at
            rest = [part for part in found.split("/") if part] + rest
        else:
            at = [*at, part]
    return at


def descend(root: dict[str, Node], path: list[str]) -> Node:
    here: Node = root
    for part in path:
        assert isinstance(here, dict)
        here = here[part]
    return here


def grow(random: Random, directory: Path, depth: int = 0) -> dict[str, Node]:
    """A small random tree, on disk and as a model."""
    made: dict[str, Node] = {}
    for name in random.sample("abcdef", random.randint(1, 4)):
        kind = random.randint(0, 3)
        if kind == 0 and depth < 3:
            (directory / name).mkdir()
            made[name] = grow(random, directory / name, depth + 1)
        elif kind == 1:
            (directory / name).touch()
            made[name] = None
        else:
            content = random_path(random)
            os.symlink(content, directory / name)
            made[name] = content
    return made


def random_path(random: Random) -> str:
    parts = [random.choice(["a", "b", "c", "d", "e", "f", "g", ".."]) for _ in range(random.randint(1, 5))]
    return random.choice(["", "/"]) + "/".join(parts)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_trees(tree: Tree, seed: int) -> None:
    random = Random(seed)
    root = grow(random, tree.root)
    for _ in range(12):
        path, target = random_path(random), random.choice([EXISTS, DIRECTORY, FILE])
        before = sorted(str(found.relative_to(tree.root)) for found in tree.root.rglob("*"))
        try:
            expected = "".join("/" + part for part in model(root, path, target))
        except Failed as error:
            expected = str(error)
        assert tree.open(path, target) == expected, (path, target, before)
