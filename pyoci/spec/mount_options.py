"""Mount options: the words of config.json and mount(8), and what they mean to the kernel (config.md, Linux mount options)."""

from pyoci.base.numbers import decimal
from pyoci.spec.annotations import MOUNT_CONTEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping, Mount, Spec


MS_BIND, MS_REC = 0x1000, 0x4000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20

RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, STRICTATIME = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
ATIME_MASK, NODIRATIME, NOSYMFOLLOW = 0x70, 0x80, 0x200000
BIND_FLAGS = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW

# name: (MOUNT_ATTR_* set, MOUNT_ATTR_* cleared), see mount_setattr(2). A word that negates a way to keep access times leaves the
# other ways alone; what is left then is relatime, the kernel's default, so that "norelatime" has nothing to say (mount(8)).
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "noatime": (NOATIME, ATIME_MASK),
    "atime": (0, NOATIME),
    "relatime": (0, ATIME_MASK),
    "norelatime": (0, 0),
    "strictatime": (STRICTATIME, ATIME_MASK),
    "nostrictatime": (0, STRICTATIME),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
}

PROPAGATION: dict[str, int] = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

# Flags of the file system itself that fsconfig(2) knows by the same name; and those only mount(2) knows, by their MS_* bit.
FILESYSTEM_FLAGS = ("sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime")
OLD_FLAGS: dict[str, int] = {"silent": 1 << 15, "loud": 0, "iversion": 1 << 23, "noiversion": 0}
_FILESYSTEM_BITS: dict[str, int] = {"sync": 1 << 4, "mand": 1 << 6, "dirsync": 1 << 7, "lazytime": 1 << 25}
_FSCONFIG_VALUE_LIMIT = 255
_ID_LIMIT = 1 << 32

# what says how a mount is made, and not what it is like
KINDS = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap")
LINKS = ("copy-symlink", "src-nofollow", "dest-nofollow")  # crun's, for bind mounts
IDMAP = ("idmap=", "ridmap=")  # crun's, with the mappings in the option
CONTEXTS = ("context", "fscontext", "defcontext", "rootcontext")  # SELinux labels, of all file systems
NOTHING = ("", "defaults")
FSTAB = ("nofail", "auto", "noauto", "user", "nouser", "_netdev")  # they mean something in fstab(5) alone

# all words that do not belong to a single type of file system
KNOWN = (
    *ATTRIBUTES,
    *["r" + word for word in ATTRIBUTES],
    *PROPAGATION,
    *FILESYSTEM_FLAGS,
    *OLD_FLAGS,
    *KINDS,
    *LINKS,
    *NOTHING,
)
_KNOWN = frozenset(KNOWN)


def is_known(word: str) -> bool:
    """Whether an option does not belong to a single type of file system; those are all that bind mounts take."""
    return word in _KNOWN or word.startswith(IDMAP)


def is_bind(mount: "Mount") -> bool:
    """Whether a mount makes something of the host appear in the container."""
    options = mount.get("options") or ()
    return "bind" in options or "rbind" in options or mount.get("type") == "bind"


def label(spec: "Spec") -> str:
    """The mount option for linux.mountLabel, or "". Which one, an annotation of crun's may say, as podman sets it."""
    text = (spec.get("linux") or {}).get("mountLabel")
    kind = (spec.get("annotations") or {}).get(MOUNT_CONTEXT) or "context"
    return f"{kind}={text}" if text else ""


class Options:
    """The options of one mount, sorted by what they act on.

    set, clear            MOUNT_ATTR_* of the mount itself
    deep_set, deep_clear  the same for the whole tree ("rro" and the like)
    propagation           MS_* flags, in their order
    data                  options of the file system
    old_flags             MS_* flags that only mount(2) takes; -1 where there are none
    flagged               an option names a flag of the mount or of its file system
    copy_link             a source that is a link is made again, not bound
    source_link           a source that is a link is bound itself, not what it leads to
    target_link           a destination that is a link is the mount point itself
    unset                 MOUNT_ATTR_* that options clear by name; all of ATIME_MASK where one says how to keep access times
    """

    __slots__ = (
        "copy_link",
        "source_link",
        "target_link",
        "set",
        "clear",
        "deep_set",
        "deep_clear",
        "propagation",
        "data",
        "old_flags",
        "flagged",
        "unset",
        "bind",
        "recursive",
        "remount",
        "copy_up",
        "idmap",
        "deep_idmap",
    )

    def __init__(self) -> None:
        self.set = self.clear = self.deep_set = self.deep_clear = 0
        self.propagation: list[int] = []
        self.data: list[str] = []
        self.old_flags = -1
        self.flagged = False
        self.unset = 0
        self.copy_link = self.source_link = self.target_link = False
        self.bind = self.recursive = self.remount = self.copy_up = self.idmap = self.deep_idmap = False

    def names_atime(self) -> bool:
        """Whether an option sets how access times are kept, as mount(2) sees it."""
        return bool(self.unset & ATIME_MASK == ATIME_MASK or self.set & NODIRATIME)

    def bind_attributes(self) -> tuple[int, int]:
        """MOUNT_ATTR_* to set and to clear on the copy that is a bind mount: the flags that are named, and no others.

        As mount(2) with MS_BIND | MS_REMOUNT does it: how access times are kept stays as it is on the source unless it is named.
        Without any flag option the copy keeps all flags of its source.
        """
        if not self.flagged:
            return 0, 0
        times = ATIME_MASK | NODIRATIME
        if self.names_atime():
            return self.set, BIND_FLAGS | times
        return self.set & ~times, BIND_FLAGS

    def has_data(self, key: str) -> bool:
        """Whether the file system is given this option."""
        start = key + "="
        return any(item.startswith(start) for item in self.data)

    def needs_old_mount(self) -> bool:
        """Whether only mount(2) can take these options: fsconfig(2) refuses values of 256 bytes and more."""
        return self.old_flags >= 0 or any(
            len(item.partition("=")[2]) > _FSCONFIG_VALUE_LIMIT for item in self.data
        )

    def old_mount_flags(self) -> int:
        """The flags of the file system as mount(2) takes them."""
        found = max(self.old_flags, 0)
        for item in self.data:
            found |= _FILESYSTEM_BITS.get(item, 0)
        return found


def parse(words: list[str]) -> Options:
    """Sort the options of a mount; a later word wins over an earlier one. What no table knows is the file system's."""
    found = Options()
    for word in words:
        attribute = ATTRIBUTES.get(word)
        if attribute is not None:
            found.flagged = True
            found.set = found.set & ~attribute[1] & ~attribute[0] | attribute[0]
            found.clear = found.clear & ~attribute[0] | attribute[1]
        elif word in PROPAGATION:
            found.propagation.append(PROPAGATION[word])
        elif not _special(found, word):
            found.flagged = found.flagged or word in FILESYSTEM_FLAGS
            found.data += split(word)
    found.unset = found.clear & ~found.set if not found.set & ATIME_MASK else found.clear
    found.clear |= _whole_mask(found.set | found.clear)
    found.deep_clear |= _whole_mask(found.deep_set | found.deep_clear)
    return found


def inline_maps(
    words: "list[str]", own: "dict[str, list[IDMapping]]"
) -> "tuple[list[IDMapping], list[IDMapping]] | None":
    """The mappings of users and groups in an option such as "idmap=uids=0-100000-65536#70000-7-1;gids=@0-0-65536".

    own   linux.uidMappings and linux.gidMappings by "uids" and "gids": a range with "@" has an id of the container in place of
          the host's

    None without such an option. Raises ValueError for one that is malformed, or lacks one of the two.
    """
    text = next((word.partition("=")[2] for word in reversed(words) if word.startswith(IDMAP)), None)
    if text is None:
        return None
    found: dict[str, list[IDMapping]] = {}
    for part in text.split(";"):
        name, _, ranges = part.partition("=")
        if name not in ("uids", "gids") or name in found:
            raise ValueError(part)
        found[name] = [_range(each, own.get(name) or []) for each in ranges.split("#")]
    if len(found) < 2:
        raise ValueError(text)
    return found["uids"], found["gids"]


def _range(text: str, own: "list[IDMapping]") -> "IDMapping":
    numbers = [decimal(part, _ID_LIMIT) for part in text.removeprefix("@").split("-")]
    if len(numbers) != 3 or min(numbers) < 0:
        raise ValueError(text)
    first, host, size = numbers
    if text[:1] == "@":
        line = next((line for line in own if 0 <= host - line["containerID"] < line["size"]), None)
        if line is None:
            raise ValueError(text)
        host += line["hostID"] - line["containerID"]
    return {"containerID": first, "hostID": host, "size": size}


def split(word: str) -> list[str]:
    """Several options of the file system in one word, as mount(2) takes them; quotes and backslashes protect commas there."""
    if "," not in word or '"' in word or "\\" in word:
        return [word]
    return [part for part in word.split(",") if part]


def quoted(item: str) -> str:
    """An option of a file system as mount(2) takes it: quotes protect the commas of a label, and of nothing else."""
    key, _, value = item.partition("=")
    return f'{key}="{value}"' if key in CONTEXTS and "," in value and '"' not in value else item


def unquoted(item: str) -> str:
    """The same as fsconfig(2) takes it, where quotes would be part of the label."""
    key, _, value = item.partition("=")
    return key + "=" + value.strip('"') if key in CONTEXTS else item


def _whole_mask(touched: int) -> int:
    """The kernel takes the ways to keep access times as one value: it is cleared in whole or not at all."""
    return ATIME_MASK if touched & ATIME_MASK else 0


def _special(found: Options, word: str) -> bool:
    """Take a word that is neither an attribute, nor propagation, nor data. False: it is data."""
    if word in ("bind", "rbind"):
        found.bind = True
        found.recursive = found.recursive or word == "rbind"
    elif word[:1] == "r" and word[1:] in ATTRIBUTES:
        add, remove = ATTRIBUTES[word[1:]]
        found.deep_set = found.deep_set & ~remove | add
        found.deep_clear = found.deep_clear & ~add | remove
    elif word == "remount":
        found.remount = True
    elif word == "tmpcopyup":
        found.copy_up = True
    elif word in ("idmap", "ridmap"):
        found.idmap, found.deep_idmap = True, word == "ridmap"
    elif word.startswith(IDMAP):
        found.idmap, found.deep_idmap = True, word[0] == "r"
    elif word in LINKS:
        found.copy_link = found.copy_link or word == "copy-symlink"
        found.source_link = found.source_link or word == "src-nofollow"
        found.target_link = found.target_link or word == "dest-nofollow"
    elif word in OLD_FLAGS:
        found.flagged = True
        found.old_flags = max(found.old_flags, 0) | OLD_FLAGS[word]
    elif word not in NOTHING:
        return False
    return True
