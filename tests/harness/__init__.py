"""What the tests share: the runtime under test, bundles, terminals, and the check that nothing is left behind."""
