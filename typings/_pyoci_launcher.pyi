# Built into the static launcher: what it is made of (a JSON text, csrc/build/parts.py), and where the environment is.
build: str
package: str
python: str
