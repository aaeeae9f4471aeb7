"""Validates the EVE lines on standard input against the schema in the file that is named.

The object `ja4plus` is removed before. Prints the number of valid lines, or each error, and fails if there is one.
"""

import json
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as file:
    validator = Draft202012Validator(json.load(file))
valid = wrong = 0
for line in sys.stdin:
    event = json.loads(line)
    event.pop("ja4plus", None)
    errors = list(validator.iter_errors(event))
    for error in errors:
        print(f"{error.json_path}: {error.message[:200]}: {line[:500]}")
    wrong += bool(errors)
    valid += not errors
print(f"{valid} lines are valid, {wrong} are not")
sys.exit(wrong > 0)
