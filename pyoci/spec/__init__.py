"""What a bundle says and whether it is right: loading, the check, and the words of the specification."""

LARGEST = 64 << 20  # bytes of a config.json; engines write some ten thousand
