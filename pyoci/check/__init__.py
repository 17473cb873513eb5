LARGEST = 64 << 20  # bytes of a config.json; engines write some ten thousand
