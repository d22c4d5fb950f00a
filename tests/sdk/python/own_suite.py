"""Runs the client's own test suite (the current folder) less the tests in a list of known exceptions.

Usage: own_suite.py KNOWN_FILE. Each line of the file is a test id (or a prefix that ends in a dot), then '# reason'.
"""

import sys
import unittest


def read_known(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#", 1)[0].strip() for line in file]
    return [line for line in lines if line]


def each_test(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each_test(item)
        else:
            yield item


def main():
    known = read_known(sys.argv[1])
    found = list(each_test(unittest.defaultTestLoader.discover("tests", top_level_dir=".")))
    unused = [k for k in known if not any(t.id().startswith(k) for t in found)]
    if unused:
        sys.exit(f"known exceptions that name no test: {unused}")
    chosen = unittest.TestSuite(t for t in found if not any(t.id().startswith(k) for k in known))
    print(f"{len(found)} tests found, {len(found) - chosen.countTestCases()} left out")
    result = unittest.TextTestRunner(verbosity=1).run(chosen)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
