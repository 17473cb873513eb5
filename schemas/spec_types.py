"""Write the types of the specification's documents for the type checker, from the JSON schemas beside this file.

    python schemas/spec_types.py [OUT.pyi]

OUT.pyi (pyoci/spec/spec_types.pyi when left out) gets a TypedDict for every object that a schema describes, with the
members that must be there marked as such, and a Literal for every enum that has a name. Being a stub it is never
imported: `typing` costs more time than the container's start may take. It is kept in git, because people read it.

A type has the name of its definition or of the member that it is the value of; what is named otherwise stands in
NAMES. The section of the specification that describes a type stands in SECTIONS, and a type without one stops the
program, so that a new version of the specification cannot be taken over half.
"""

import json
import sys
from keyword import iskeyword
from pathlib import Path

from generate import HERE, OTHER, Schema, Schemas, Unsupported

OUT = HERE.parent / "pyoci" / "spec" / "spec_types.pyi"
WIDTH = 110
DOCUMENTS = {
    "config-schema.json#": "Spec",
    "state-schema.json#": "State",
    "features-schema.json#": "Features",
}
# what other systems find in a config.json: nobody here reads it
FOREIGN = set(OTHER.values()) - set(DOCUMENTS)
NAMES = {
    "defs-linux.json#/definitions/NamespaceReference": "Namespace",
    "defs-linux.json#/definitions/TimeOffsets": "TimeOffset",
    "defs-linux.json#/definitions/blockIODevice": "BlockIODevice",
    "defs-linux.json#/definitions/blockIODeviceThrottle": "BlockIODeviceThrottle",
    "defs-linux.json#/definitions/blockIODeviceWeight": "BlockIODeviceWeight",
    "config-linux.json#/linux/properties/resources/properties/cpu": "CPU",
    "config-linux.json#/linux/properties/resources/properties/hugepageLimits/items": "HugepageLimit",
    "config-schema.json#/properties/process/properties/ioPriority": "IOPriority",
    "config-schema.json#/properties/process/properties/rlimits/items": "Rlimit",
}
SECTIONS = {
    "Spec": "config.md",
    "Hooks": "config.md, POSIX-platform Hooks",
    "Hook": "config.md, POSIX-platform Hooks",
    "Mount": "config.md, Mounts",
    "IDMapping": "config-linux.md, User namespace mappings; config.md, POSIX-platform Mounts",
    "Root": "config.md, Root",
    "Process": "config.md, Process",
    "ConsoleSize": "config.md, Process",
    "User": "config.md, POSIX-platform User",
    "Capabilities": "config.md, Linux Process; capabilities(7)",
    "IOPriority": "config.md, Linux Process; ioprio_set(2)",
    "Scheduler": "config.md, Linux Process; sched_setattr(2)",
    "Rlimit": "config.md, POSIX process; getrlimit(2)",
    "ExecCPUAffinity": "config.md, Linux Process",
    "Linux": "config-linux.md",
    "Device": "config-linux.md, Devices",
    "NetDevice": "config-linux.md, Network Devices",
    "Namespace": "config-linux.md, Namespaces",
    "Resources": "config-linux.md, Control groups",
    "DeviceCgroup": "config-linux.md, Allowed Device list",
    "Pids": "config-linux.md, PIDs",
    "BlockIO": "config-linux.md, Block IO",
    "BlockIODevice": "config-linux.md, Block IO",
    "BlockIODeviceThrottle": "config-linux.md, Block IO",
    "BlockIODeviceWeight": "config-linux.md, Block IO",
    "CPU": "config-linux.md, CPU",
    "HugepageLimit": "config-linux.md, Huge page limits",
    "Memory": "config-linux.md, Memory",
    "Network": "config-linux.md, Network",
    "NetworkInterfacePriority": "config-linux.md, Network",
    "Rdma": "config-linux.md, RDMA",
    "Seccomp": "config-linux.md, Seccomp",
    "Syscall": "config-linux.md, Seccomp",
    "SyscallArg": "config-linux.md, Seccomp",
    "IntelRdt": "config-linux.md, IntelRdt",
    "MemoryPolicy": "config-linux.md, Memory policy",
    "Personality": "config-linux.md, Personality; personality(2)",
    "TimeOffsets": "config-linux.md, Offset for Time Namespace",
    "TimeOffset": "config-linux.md, Offset for Time Namespace",
    "State": "runtime.md, State",
    "Features": "features.md",
    "FeaturesLinux": "features-linux.md",
    "FeaturesCgroup": "features-linux.md, Cgroup",
    "FeaturesSeccomp": "features-linux.md, Seccomp",
    "FeaturesApparmor": "features-linux.md, AppArmor",
    "FeaturesSelinux": "features-linux.md, SELinux",
    "FeaturesIntelRdt": "features-linux.md, Intel RDT",
    "FeaturesMemoryPolicy": "features-linux.md, Memory policy",
    "FeaturesMountExtensions": "features-linux.md, MountExtensions",
    "FeaturesIdmap": "features-linux.md, MountExtensions",
    "FeaturesNetDevices": "features-linux.md, Net Devices",
}
# for loops over the members of an object that are of one type: what the type of their names is called
MEMBERS = {
    "BlockIO": ("ThrottleName", "list[BlockIODeviceThrottle]"),
    "CPU": ("CPUNumber", "int"),
    "Capabilities": ("CapabilitySet", "list[str]"),
    "ExecCPUAffinity": ("AffinityName", "str"),
    "Hooks": ("HookName", "list[Hook]"),
    "Memory": ("MemoryNumber", "int"),
    "TimeOffsets": ("Clock", "TimeOffset"),
}
SCALARS = {"string": "str", "integer": "int", "boolean": "bool"}
HEAD = """\
# Made by schemas/spec_types.py: change the schemas, not this file. For the type checker alone; it cannot be imported.
from typing import Literal, Required, TypeAlias, TypedDict
"""


class Types:
    """The named types found so far, in the order in which they are met."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.texts: dict[str, str] = {}
        self.addresses: dict[str, str] = {}

    def expression(self, address: str, schema: Schema) -> str:
        """The type of the values that the schema at `address` accepts."""
        _, settled, definition = self.schemas.settle(address.partition("#")[0], schema)
        address = definition or address
        if address in FOREIGN:
            return "dict[str, object]"
        if "enum" in settled:
            values = [json.dumps(value) for value in settled["enum"]]
            return self._alias(address, values) if definition else f"Literal[{', '.join(values)}]"
        kind = settled.get("type", "object" if "allOf" in settled else None)
        if kind == "array":
            return f"list[{self.expression(f'{address}/items', settled['items'])}]"
        if kind == "object":
            return self._map(address, settled) or self._typed_dict(address, settled)
        if kind not in SCALARS:
            raise Unsupported(f"{address}: no type for it")
        return SCALARS[kind]

    def _map(self, address: str, schema: Schema) -> str:
        """The type of an object whose members have any names, or ""."""
        values = [*schema.get("patternProperties", {}).values()]
        values += [schema["additionalProperties"]] if "additionalProperties" in schema else []
        if not values:
            return ""
        if len(values) > 1 or "properties" in schema:
            raise Unsupported(f"{address}: members of several kinds")
        return f"dict[str, {self.expression(f'{address}/additionalProperties', values[0])}]"

    def _name(self, address: str) -> str:
        file, _, pointer = address.partition("#")
        last = pointer.rpartition("/")[2]
        name = DOCUMENTS.get(address) or NAMES.get(address) or last[:1].upper() + last[1:]
        if file.startswith("features") and address not in DOCUMENTS:
            name = f"Features{name}"
        if self.addresses.setdefault(name, address) != address:
            raise Unsupported(f"{address}: {name} is the name of {self.addresses[name]}; choose one in NAMES")
        return name

    def _alias(self, address: str, values: list[str]) -> str:
        name = self._name(address)
        self.texts[name] = _literal(name, values)
        return name

    def _typed_dict(self, address: str, schema: Schema) -> str:
        name = self._name(address)
        if name in self.texts:
            return name
        if name not in SECTIONS:
            raise Unsupported(f"{address}: name the section of the specification about {name} in SECTIONS")
        self.texts[name] = ""  # its place; those that it holds come after it
        bases = []
        members, required = dict(schema.get("properties", {})), set(schema.get("required", []))
        for branch in schema.get("allOf", []):
            if "$ref" in branch:
                bases.append(self.expression(address, branch))
            else:
                members |= branch.get("properties", {})
                required |= set(branch.get("required", []))
        types = {}
        for member, value in members.items():
            found = self.expression(f"{address}/properties/{member}", value)
            types[member] = f"Required[{found}]" if member in required else found
        self.texts[name] = _written(name, bases, types)
        if name in MEMBERS:
            alias, wanted = MEMBERS[name]
            names = [json.dumps(member) for member, found in types.items() if found == wanted]
            self.texts[alias] = _literal(alias, names)
        return name

    def text(self) -> str:
        """The source of the stub."""
        for address, name in DOCUMENTS.items():
            if self.expression(*self.schemas.find(address)) != name:
                raise Unsupported(f"{address} is no object")
        return "\n".join([HEAD, *self.texts.values()])


def _literal(name: str, values: list[str]) -> str:
    line = f"{name}: TypeAlias = Literal[{', '.join(values)}]"
    if len(line) > WIDTH:
        line = f"{name}: TypeAlias = Literal[\n" + "".join(f"    {value},\n" for value in values) + "]"
    return f"{line}\n"


def _written(name: str, bases: list[str], types: dict[str, str]) -> str:
    """The definition of a TypedDict; the form of a call where a member's name is a word of Python."""
    if any(iskeyword(member) for member in types):
        members = "".join(f"        {json.dumps(member)}: {found},\n" for member, found in types.items())
        call = f'TypedDict(\n    "{name}",\n    {{\n{members}    }},\n    total=False,\n)'
        return f"# {SECTIONS[name]}\n{name} = {call}\n"
    members = "".join(f"    {member}: {found}\n" for member, found in types.items())
    head = f"class {name}({', '.join(bases or ['TypedDict'])}, total=False):"
    return f'{head}\n    """{SECTIONS[name]}"""\n\n{members}'


def main(argv: list[str]) -> int:
    """Command line: the file to write, or nothing for the package's own. Returns the exit status."""
    out = Path(argv[1]) if len(argv) == 2 else OUT
    if len(argv) > 2 or out.suffix != ".pyi":
        print("usage: spec_types.py [OUT.pyi]", file=sys.stderr)
        return 2
    try:
        text = Types(Schemas()).text()
    except Unsupported as error:
        print(f"spec_types.py: not supported: {error}", file=sys.stderr)
        return 1
    out.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
