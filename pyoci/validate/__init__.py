"""What `pyoci validate` says of a document beyond yes and no; jsonschema is needed here alone."""
