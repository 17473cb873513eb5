# Built into the embedded launcher: how it was linked, and where the environment is.
linkage: str
package: str
python: str
