"""What pyproject.toml cannot say: how the extensions, the init inside the shim, the checker, the launcher, the manual pages and
the completions are made.

Environment: PYOCI_LAUNCHER=static|exec chooses the kind of launcher;
PYOCI_SANITIZE=address,undefined builds the extensions with these sanitizers, and the init with those that a static
program can have, or with PYOCI_SANITIZE_INIT; PYOCI_WERROR=1 makes warnings of the C compiler fatal.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup  # isort: skip  (it brings distutils where Python has none)
from distutils.command.build_scripts import build_scripts
from distutils.command.install_data import install_data

from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

TREE = Path(__file__).resolve().parent
CHECKER = TREE / "pyoci" / "_generated.py"
sys.path[:0] = [str(TREE / "csrc" / "build"), str(TREE)]

import build_launcher  # noqa: E402
import build_shim  # noqa: E402

from pyoci.cli import completion, manual  # noqa: E402

SANITIZE = os.environ.get("PYOCI_SANITIZE", "")
_STATIC = ",".join(name for name in SANITIZE.split(",") if name != "address")
SANITIZE_INIT = os.environ.get("PYOCI_SANITIZE_INIT", _STATIC)
HARDENED = [build_shim.PROTECTED, "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
WERROR = os.environ.get("PYOCI_WERROR", "") == "1"


def generate_checker() -> None:
    """Write pyoci/_generated.py from the schemas."""
    command = [sys.executable, str(TREE / "schemas" / "generate.py"), str(CHECKER)]
    if build_shim.newer(CHECKER, list((TREE / "schemas").iterdir())):
        subprocess.run(command, check=True)


def put(file: Path, target: Path) -> None:
    """Copy a program into its place in one step, unless it is there: others may be running it."""
    if target.exists() and target.read_bytes() == file.read_bytes():
        return
    new = target.with_name(f"{target.name}.{os.getpid()}.new")
    new.write_bytes(file.read_bytes())
    new.chmod(0o755)
    os.replace(new, target)


def build_the_launcher(directory: Path, package: Path | None) -> Path:
    """The launcher, built in a directory; `package` as for build_launcher.build."""
    kind, reason = os.environ.get("PYOCI_LAUNCHER", ""), ""
    if package and not kind:
        kind, reason = (
            "exec",
            "it is a development build, which runs changed Python code without being built again",
        )
    return build_launcher.build(directory, kind, reason=reason, package=package, werror=WERROR)


class Build(build):
    """Keeps what is compiled with sanitizers apart."""

    def initialize_options(self) -> None:
        super().initialize_options()
        if SANITIZE or SANITIZE_INIT:
            self.build_base = "build/sanitize"


class BuildPython(build_py):
    """Adds the generated checker to the package."""

    def run(self) -> None:
        generate_checker()
        super().run()


class BuildExtensions(build_ext):
    """Makes the generated sources first, compiles our own C strictly and the generated C as it is."""

    def build_extension(self, ext: Extension) -> None:
        options = ["-O1", f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"] if SANITIZE else HARDENED
        strict = [*build_shim.STRICT, *(["-Werror"] if WERROR else [])]
        ext.extra_link_args = [f"-fsanitize={SANITIZE}"] if SANITIZE else ["-s", *build_shim.READ_ONLY]
        if ext.name == build_shim.MODULE:
            self._build_shim(ext, strict, options)
        else:
            ext.extra_compile_args = [*strict, *options]
            super().build_extension(ext)

    def _build_shim(self, ext: Extension, strict: list[str], options: list[str]) -> None:
        temporary = Path(self.build_temp).resolve()
        module, image = build_shim.generate(temporary, sanitize=SANITIZE_INIT, werror=WERROR)
        ours = [str(path) for path in build_shim.shim_sources()]
        depends = [str(path) for path in [*build_shim.headers(), *ours, module, image]]
        target = Path(self.get_ext_fullpath(ext.name))
        if not self.force and not build_shim.newer(target, [Path(path) for path in depends]):
            return
        include = [str(build_shim.CSRC), str(build_shim.CSRC / "shim"), *self.include_dirs]
        objects = self.compiler.compile(
            [os.path.relpath(path) for path in ours],
            output_dir=self.build_temp,
            include_dirs=include,
            extra_postargs=[*strict, *options, "-fvisibility=hidden"],
        )
        ext.sources = [os.path.relpath(module), os.path.relpath(image)]
        ext.include_dirs = include
        ext.extra_objects = objects
        ext.extra_compile_args = ["-fvisibility=hidden", *options]
        ext.depends = depends
        super().build_extension(ext)

    def copy_extensions_to_source(self) -> None:
        """Put the modules into the tree."""
        for extension in self.extensions:
            name = str(self.get_ext_filename(extension.name))  # type: ignore[no-untyped-call]
            target, built = TREE / name, Path(self.build_lib) / name
            if built.exists():
                put(built, target)


class BuildLauncher(build_scripts):
    """The `pyoci` command: an ELF program."""

    editable_mode = False

    def run(self) -> None:
        temporary = Path(self.get_finalized_command("build").build_temp).resolve()
        package = TREE / "pyoci" if self.editable_mode else None
        launcher = build_the_launcher(temporary, package)
        self.mkpath(self.build_dir)
        self.copy_file(str(launcher), str(Path(self.build_dir) / "pyoci"))

    def get_source_files(self) -> list[str]:
        return [os.path.relpath(path, TREE) for path in build_launcher.sources()]


def shared_files() -> dict[str, str]:
    """The manual pages and completions, which come from the table of commands: their text by their place below the prefix."""
    return {
        **{f"share/man/man1/{name}": text for name, text in manual.pages().items()},
        "share/bash-completion/completions/pyoci": completion.bash(),
        "share/zsh/site-functions/_pyoci": completion.zsh(),
        "share/fish/vendor_completions.d/pyoci.fish": completion.fish(),
    }


class InstallData(install_data):
    """Writes the shared files."""

    def run(self) -> None:
        for name, text in shared_files().items():
            target = Path(self.install_dir, name)
            self.mkpath(str(target.parent))
            target.write_text(text, encoding="utf-8")
            self.outfiles.append(str(target))


class DevBuild(Command):
    """For developers: build what changed, the shim into the tree, the launcher into a directory of choice."""

    description = "build in place for development"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = [
        ("bin-dir=", None, "directory that gets the launcher"),
    ]
    bin_dir: str

    def initialize_options(self) -> None:
        self.bin_dir = ""

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        generate_checker()
        extension = self.get_finalized_command("build_ext")
        extension.inplace = True
        extension.run()
        temporary = Path(extension.build_temp).resolve()
        launcher = build_the_launcher(temporary, TREE / "pyoci")
        target = Path(self.bin_dir or temporary) / "pyoci"
        if target != launcher:
            put(launcher, target)


setup(
    ext_modules=[
        Extension(build_shim.MODULE, sources=[]),
        Extension("pyoci._json", sources=["csrc/json/json.c"]),
        Extension(
            "pyoci._ops", sources=["csrc/ops/ops.c"], depends=["csrc/ops.def", "csrc/ops.h", "csrc/plan.h"]
        ),
    ],
    scripts=["csrc/launcher"],
    data_files=[("share", [])],  # that there are some; install_data knows them
    cmdclass={
        "build": Build,
        "build_py": BuildPython,
        "build_ext": BuildExtensions,
        "build_scripts": BuildLauncher,
        "install_data": InstallData,
        "dev_build": DevBuild,
    },
)
